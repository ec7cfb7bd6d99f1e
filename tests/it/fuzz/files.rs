//! Job and tenant files, distorted as values, as lines and as letters.

use drivejob::job::{Format, Problem, parse_job, parse_tenant, parse_value};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::support::hostile::{TEXTS, distorted, one_case_in, value};

/// Real job files, and behind them real tenant files.
const JOBS: &[&str] = &[
    include_str!("../../../jobs/audit.toml"),
    include_str!("../../../jobs/classic-backup.toml"),
    include_str!("../../../jobs/demo.toml"),
    include_str!("../../../jobs/migrate.toml"),
    include_str!("../../../jobs/nightly-backup.toml"),
    include_str!("../../../jobs/prune.toml"),
    include_str!("../../../jobs/restore.toml"),
    include_str!("../../../jobs/verify.toml"),
];
const TENANTS: &[&str] = &[
    include_str!("../../../jobs/tenants/acme.toml"),
    include_str!("../../../jobs/tenants/acme-classic.toml"),
    include_str!("../../../jobs/tenants/acme-delegated.toml"),
    include_str!("../../../jobs/tenants/new-company.toml"),
];

fn example() -> impl Strategy<Value = &'static str> {
    select([JOBS, TENANTS].concat())
}

fn as_value(text: &str) -> Value {
    parse_value(text, Format::Toml, "f").unwrap()
}

/// What both readers say of a text: how each ends, in words that tell one end from another.
fn read(text: &str, format: Format) -> [Result<String, Vec<Problem>>; 2] {
    let outcomes = [
        parse_job(text, format, "f").map(|job| format!("{job:?}")),
        parse_tenant(text, format, "f").map(|tenant| format!("{tenant:?}")),
    ];
    let lines = text.lines().count().max(1) + 1;
    for problems in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(
                problem.line.is_none_or(|line| (1..=lines).contains(&line)),
                "{problem:?}"
            );
            assert!(!problem.found.contains("does not describe"), "{problem:?}");
            let said = problem.to_string();
            assert!(!said.chars().any(char::is_control), "{said:?}");
        }
    }
    outcomes
}

/// The keys that are wrong, without where they stand.
fn keys(outcome: &Result<String, Vec<Problem>>) -> Result<String, Vec<(String, String)>> {
    outcome.clone().map_err(|problems| {
        let mut keys: Vec<_> = problems
            .into_iter()
            .map(|problem| (problem.key, problem.expected))
            .collect();
        keys.sort();
        keys
    })
}

/// The same value in TOML, where it can stand there.
fn as_toml(value: &Value) -> Option<String> {
    // TOML is read to a smaller depth than JSON.
    fn can_stand(value: &Value, depth: usize) -> bool {
        depth < 60
            && match value {
                Value::Null => false,
                Value::Number(number) => number.is_i64() || number.is_f64(),
                Value::Array(items) => items.iter().all(|item| can_stand(item, depth + 1)),
                Value::Object(fields) => fields.values().all(|item| can_stand(item, depth + 1)),
                _ => true,
            }
    }
    (value.is_object() && can_stand(value, 0)).then(|| toml::to_string(value).ok())?
}

proptest! {
    #[test]
    fn a_distorted_file_means_the_same_in_both_notations(value in example().prop_flat_map(|text| distorted(as_value(text)))) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let as_json = read(&text, Format::Json);
        if let Some(toml) = as_toml(&value) {
            let as_toml = read(&toml, Format::Toml);
            prop_assert_eq!(as_json.each_ref().map(keys), as_toml.each_ref().map(keys), "{}", toml);
        }
        // A file is a job or a tenant, never both.
        prop_assert!(as_json.iter().any(Result::is_err));
    }

    #[test]
    fn lines_come_in_any_order_and_number(text in example(), moves in prop::collection::vec((any::<Index>(), any::<Index>(), 0..4_u8), 0..5)) {
        let mut lines: Vec<&str> = text.lines().collect();
        for (from, to, what) in moves {
            let (from, to) = (from.index(lines.len()), to.index(lines.len()));
            match what {
                0 => drop(lines.remove(from)),
                1 => lines.insert(to, lines[from]),
                2 => lines.swap(from, to),
                _ => lines.insert(to, select_line(from)),
            }
        }
        let _ = read(&lines.join("\n"), Format::Toml);
    }

    #[test]
    fn letters_are_put_in_and_taken_out(text in example(), json in any::<bool>(),
        edits in prop::collection::vec((any::<Index>(), 0..4_usize, "\\PC{0,3}|[\\[\\]{}\"'=.,#\n\\\\\0\r\t]{1,4}"), 1..5)) {
        let text = if json { as_value(text).to_string() } else { text.to_owned() };
        let mut letters: Vec<char> = text.chars().collect();
        for (at, gone, new) in edits {
            let at = at.index(letters.len());
            let end = (at + gone).min(letters.len());
            letters.splice(at..end, new.chars());
        }
        let text: String = letters.into_iter().collect();
        for format in [Format::Json, Format::Toml] {
            let _ = read(&text, format);
        }
    }

    #[test]
    fn any_value_is_a_file_or_none(value in value()) {
        let _ = read(&value.to_string(), Format::Json);
    }

    /// A secret that somebody wrote into a file, wherever it went, is not told.
    #[test]
    fn a_secret_in_the_wrong_place_is_not_told(
        key in select(&["client-secret", "client_secret", "refresh-token", "refreshtoken", "token", "tokn", "private-key",
            "privat-key", "consumer-key", "password"]),
        form in 0..11_usize,
        json in any::<bool>(),
    ) {
        let secret = "hidden-Zq9/x+1=";
        let forms = [
            json!(secret),
            json!([secret]),
            json!({"env": secret}),
            json!({"file": format!("{secret}\n-----BEGIN KEY-----")}),
            json!({"command": secret}),
            json!({"value": secret}),
            json!({"env": "A", "file": secret}),
            json!({"env": ["A", secret]}),
            json!({"command": [secret, 1]}),
            json!({"env": {"deep": secret}}),
            json!({"file": ""}),
        ];
        let mut tenant = json!({"api": "v2", "auth": {"member": "taro@example.com"}});
        tenant["auth"][key] = forms[form].clone();
        let text = if json { tenant.to_string() } else { as_toml(&tenant).unwrap() };
        let format = if json { Format::Json } else { Format::Toml };
        // Whole, and with a fault of notation right behind the secret.
        let torn = text.replacen(secret, &format!("{secret}\" oops"), 1);
        for text in [&text, &torn] {
            for problem in read(text, format).into_iter().filter_map(Result::err).flatten() {
                prop_assert!(!problem.to_string().contains("Zq9"), "{} {}", text, problem);
            }
        }
    }
}

/// A line that is no good anywhere, or anywhere but in one place.
fn select_line(number: usize) -> &'static str {
    let lines = [
        "[",
        "]]",
        "[auth]",
        "[[filter]]",
        "[filter.include]",
        "kind = 'backup'",
        "kind.kind = 1",
        "= 1",
        "a.b.c.d = { e = [ { f = 1 } ] }",
        "window = 1979-05-27T07:32:00Z",
        "max-size = 99999999999999999999999999",
        "max-size = 0xffffffffffffffff",
        "max-size = 1_000",
        "rehash = nan",
        "drives = [[[[[[[[]]]]]]]]",
        "\"\\u0000\" = \"\\u0000\"",
        "'''",
        "\"\"\"",
        "\u{feff}",
        "# \u{2028}",
    ];
    lines[number % lines.len()]
}

proptest! {
    #![proptest_config(one_case_in(2))]

    #[test]
    fn any_text_under_any_key_is_read_or_refused(text in example(), at in any::<Index>(), word in select(TEXTS)) {
        let value = as_value(text);
        let mut keys: Vec<String> = Vec::new();
        for (key, inner) in value.as_object().unwrap() {
            keys.push(format!("/{key}"));
            keys.extend(inner.as_object().into_iter().flatten().map(|(name, _)| format!("/{key}/{name}")));
        }
        let key = &keys[at.index(keys.len())];
        let mut value = value;
        *value.pointer_mut(key).unwrap() = json!(word);
        let _ = read(&value.to_string(), Format::Json);
    }
}

#[test]
fn a_file_may_be_as_deep_and_as_long_as_it_likes() {
    let deep = 100_000;
    let texts = [
        ("[".repeat(deep), Format::Json),
        (format!("{}{}", "[".repeat(deep), "]".repeat(deep)), Format::Json),
        (
            format!("{}1{}", "{\"a\":".repeat(deep), "}".repeat(deep)),
            Format::Json,
        ),
        (
            format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
            Format::Toml,
        ),
        (
            format!("a = {}1{}", "{ a = ".repeat(deep), " }".repeat(deep)),
            Format::Toml,
        ),
        (format!("{}a = 1", "a.".repeat(deep)), Format::Toml),
        (format!("[{}a]", "a.".repeat(deep)), Format::Toml),
        (format!("[[{}a]]", "a.".repeat(deep)), Format::Toml),
        (format!("a = {{ {}a = 1 }}", "a.".repeat(deep)), Format::Toml),
        ("[[a]]\n".repeat(deep), Format::Toml),
        ("[a]\n".repeat(2_000), Format::Toml),
        (format!("kind = \"{}\"", "x".repeat(deep)), Format::Toml),
        (format!("{{\"{}\": 1}}", "x".repeat(deep)), Format::Json),
        (format!("drives = [{}]", "\"me\",".repeat(20_000)), Format::Toml),
        (
            (0..20_000).map(|number| format!("k{number} = 1\n")).collect(),
            Format::Toml,
        ),
    ];
    for (text, format) in texts {
        for outcome in read(&text, format) {
            let problems = outcome.unwrap_err();
            let longest = problems.iter().map(|problem| problem.to_string().len()).max();
            assert!(longest < Some(4_000), "{longest:?} bytes of a message");
        }
    }
}

/// What was found once: a null between words passed the check and failed the types, so that the message named no key.
#[test]
fn a_null_in_a_list_is_told_by_its_place() {
    let text = "{\"kind\": \"audit\", \"tenant\": \"t\", \"archive\": \"a\",\n\"depth\": [null, \"links\"]}";
    let [job, _] = read(text, Format::Json);
    let said: Vec<String> = job.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("f:2: key 'depth[0]': found nothing, expected \"permissions\", \"links\""),
        "{said:?}"
    );
}
