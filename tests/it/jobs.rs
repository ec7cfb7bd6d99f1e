//! Every file in `jobs/` reads without a problem, and files that are wrong say what, where, and what was expected.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use drivejob::job::{
    Format, Job, JobKind, TenantRef, changed_keys, check_credentials, check_target, parse_job, parse_tenant,
    resolve_path, schema,
};
use rstest::rstest;
use serde_json::Value;

fn jobs_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs")
}

/// The job or tenant files in a folder, TOML and JSON.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml" || ext == "json"))
        .collect();
    files.sort();
    files
}

fn as_json(toml_text: &str) -> String {
    let value: Value = toml::from_str(toml_text).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

fn job(text: &str) -> Job {
    parse_job(text, Format::Toml, "j.toml").unwrap()
}

#[test]
fn every_example_reads_in_both_notations_and_finds_its_tenant() {
    let mut kinds = BTreeSet::new();
    for path in files_in(&jobs_folder()) {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let job = parse_job(&text, Format::of(&name), &name).unwrap_or_else(|problems| {
            panic!("{name}: {problems:#?}");
        });
        assert_eq!(
            parse_job(&as_json(&text), Format::Json, &name),
            Ok(job.clone()),
            "{name}"
        );
        kinds.insert(job.kind.word());
        let mut tenants = vec![];
        tenants.extend(job.tenant.clone());
        if let JobKind::Migrate(options) = &job.kind {
            tenants.extend(options.delivery.target.clone());
        }
        for tenant in tenants {
            let tenant = match tenant {
                TenantRef::Inline(tenant) => *tenant,
                TenantRef::Path(file) => {
                    let file = resolve_path(&jobs_folder(), &file);
                    let text = std::fs::read_to_string(&file).unwrap();
                    parse_tenant(&text, Format::Toml, &file.display().to_string()).unwrap()
                }
            };
            assert_eq!(check_credentials(&job, &tenant, &name), [], "{name}");
        }
    }
    let all = ["audit", "backup", "migrate", "prune", "restore", "verify"];
    assert_eq!(kinds, BTreeSet::from(all), "an example of each kind");
}

#[test]
fn every_tenant_file_reads_in_both_notations() {
    let files = files_in(&jobs_folder().join("tenants"));
    assert!(!files.is_empty());
    for path in files {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let tenant = parse_tenant(&text, Format::Toml, &name).unwrap();
        assert_eq!(
            parse_tenant(&as_json(&text), Format::Json, &name),
            Ok(tenant),
            "{name}"
        );
    }
}

/// The parts that every job below needs, so that each case shows its fault alone.
const BASE: &str = "kind = \"backup\"\ntenant = \"t.toml\"\narchive = \"a\"\n";
const DRIVES: &str = "drives = [\"me\"]\n";

#[rstest]
#[case::misspelt(
    "drvies = [\"me\"]",
    "j.toml:4: key 'drvies' is not known; did you mean 'drives'?"
)]
#[case::misspelt_in_a_table(
    "drives = [\"me\"]\n[filter]\nmax_size = 5",
    "j.toml:6: key 'filter.max_size' is not known; did you mean 'max-size'?"
)]
#[case::unknown(
    "drives = [\"me\"]\n[window]\ncolour = 1\nstart = \"01:00\"\nend = \"02:00\"",
    "j.toml:6: key 'window.colour' is not known; the keys here are start, end, duration, days"
)]
#[case::several_at_once(
    "drives = [\"you\", \"me\"]\nrehash = 2\n[limits]\ntransfers = 0\nbandwidth = \"fast\"\n[filter]\nexclude = [\"a[\"]\nmax-size = \"5 apples\"\nmodified-after = \"yesterday\"",
    "j.toml:4: key 'drives[0]': found \"you\", expected a drive: me, users/*, users/<id or mail>, sharedrives/*, sharedrives/<id>, groups/*, groups/<id>, me/sharedfolders/* or key:<location>/<key>\n\
     j.toml:5: key 'rehash': found 2, expected a share from \"0%\" to \"100%\"\n\
     j.toml:7: key 'limits.transfers': found 0, expected a whole number from 1 to 256\n\
     j.toml:8: key 'limits.bandwidth': found \"fast\", expected a rate such as \"50MB/s\", or a number of bytes a second\n\
     j.toml:10: key 'filter.exclude[0]': found \"a[\" (a '[' is not closed), expected a glob such as \"/Reports/**\" or \"*.tmp\"\n\
     j.toml:11: key 'filter.max-size': found \"5 apples\", expected a size such as \"50MB\", \"10GiB\" or a number of bytes\n\
     j.toml:12: key 'filter.modified-after': found \"yesterday\", expected a date such as \"2026-04-01\", or a time such as \"2026-04-01T09:00:00+09:00\""
)]
#[case::wrong_types(
    "drives = \"me\"\nbom = \"yes\"\nlimits = 5",
    "j.toml:4: key 'drives': found \"me\", expected a list\nj.toml:5: key 'bom': found \"yes\", expected true or false\nj.toml:6: key 'limits': found 5, expected a table"
)]
#[case::no_drives(
    "drives = []",
    "j.toml:4: key 'drives': found an empty list, expected at least one"
)]
#[case::wrong_word(
    "drives = [\"me\"]\ninfected = \"skp\"",
    "j.toml:5: key 'infected': found \"skp\", expected \"fetch\" or \"skip\"; did you mean \"skip\"?"
)]
#[case::drive_twice(
    "drives = [\"me\", \"me\"]",
    "j.toml:4: key 'drives[1]': found \"me\" a second time, expected each drive once"
)]
#[case::of_another_kind(
    "drives = [\"me\"]\nkeep = \"all\"\nsample = \"2%\"",
    "j.toml:5: key 'keep' has no use in a backup job; expected it only in migrate jobs\nj.toml:6: key 'sample' has no use in a backup job; expected it only in verify jobs"
)]
#[case::retention_of_nothing(
    "drives = [\"me\"]\n[retention]\nkeep-daily = 0",
    "j.toml:5: key 'retention': found a table that keeps nothing, expected keep-last, keep-daily, keep-weekly, keep-monthly or keep-yearly of at least 1"
)]
#[case::window_without_end(
    "drives = [\"me\"]\n[window]\nstart = \"01:00\"",
    "j.toml:5: key 'window.end' is missing; expected a time of day such as \"05:30\", or duration"
)]
#[case::window_text(
    "drives = [\"me\"]\nwindow = \"1am-5am\"",
    "j.toml:5: key 'window': found \"1am-5am\", expected a window such as \"01:00-05:30\""
)]
#[case::time_zone(
    "drives = [\"me\"]\ntime-zone = \"Asia/Tokio\"",
    "j.toml:5: key 'time-zone': found \"Asia/Tokio\", expected a time zone such as \"Asia/Tokyo\", \"Asia/Seoul\" or \"UTC\""
)]
#[case::exit_code(
    "drives = [\"me\"]\npartial-exit-code = 4",
    "j.toml:5: key 'partial-exit-code': found 4, expected 0, 3 or 7 to 125, which have no other meaning"
)]
#[case::exit_code_too_large(
    "drives = [\"me\"]\npartial-exit-code = 300",
    "j.toml:5: key 'partial-exit-code': found 300, expected a whole number from 0 to 255"
)]
#[case::sizes_that_let_nothing_through(
    "drives = [\"me\"]\n[filter]\nmin-size = 2\nmax-size = 1",
    "j.toml:6: key 'filter.min-size': found a size above max-size, expected a size that lets something through"
)]
#[case::address_of_a_webhook(
    "drives = [\"me\"]\n[notify]\nfailure = \"http://hooks.example.com/T0PSECRET\"",
    "j.toml:6: key 'notify.failure': found plain http:// to another machine, expected an address that begins with https://"
)]
#[case::secret_in_a_header(
    "drives = [\"me\"]\n[notify.headers]\nX-Team = \"a\"\nAuthorization = \"Bearer T0PSECRET\"",
    "j.toml:7: key 'notify.headers.Authorization': found a secret written in clear, expected a reference such as { env = \"WORKS_TOKEN\" }, { file = \"works.token\" } or { command = [\"pass\", \"works\"] }"
)]
#[case::not_toml(
    "drives = [\"me\"",
    "j.toml:4: this is not TOML: unclosed array, expected `]`"
)]
fn a_wrong_job_says_what_and_where(#[case] lines: &str, #[case] expected: &str) {
    let problems = parse_job(&format!("{BASE}{lines}\n"), Format::Toml, "j.toml").unwrap_err();
    assert_eq!(in_lines(&problems), expected);
}

#[rstest]
#[case::backup(
    "kind = \"backup\"",
    "j.toml: key 'archive' is missing; expected a text that is not empty (the folder of the archive)"
)]
#[case::no_kind(
    "archive = \"a\"",
    "j.toml: key 'kind' is missing; expected \"backup\", \"restore\", \"migrate\", \"audit\", \"verify\" or \"prune\" (what the job does)"
)]
#[case::wrong_kind(
    "kind = \"bakcup\"\narchive = \"a\"",
    "j.toml:1: key 'kind': found \"bakcup\", expected \"backup\", \"restore\", \"migrate\", \"audit\", \"verify\" or \"prune\"; did you mean \"backup\"?"
)]
#[case::prune(
    "kind = \"prune\"\narchive = \"a\"",
    "j.toml: key 'retention' is missing; expected a table that says what to keep"
)]
#[case::restore(
    "kind = \"restore\"\narchive = \"a\"",
    "j.toml: key 'tenant' is missing; expected the name of a tenant file, or a [tenant] table"
)]
#[case::migrate(
    "kind = \"migrate\"\narchive = \"a\"\ntenant = \"t\"\ndrives = [\"me\"]\nto = \"file:x\"",
    "j.toml:5: key 'to': found another place, expected \"original\": a migration keeps every item in its place\nj.toml: key 'target' is missing; expected the tenant file of the new tenant"
)]
#[case::local_restore(
    "kind = \"restore\"\narchive = \"a\"\nto = \"file:out\"\ncheck-back = \"2%\"",
    "j.toml:4: key 'check-back' has no use with to = \"file:…\"; expected it only in a restore to a drive"
)]
#[case::target_of_many(
    "kind = \"restore\"\narchive = \"a\"\ntenant = \"t\"\ntarget-drive = \"users/*\"",
    "j.toml:4: key 'target-drive': found \"users/*\", expected one drive, such as \"users/<id or mail>\" or \"sharedrives/<id>\""
)]
#[case::snapshot(
    "kind = \"restore\"\narchive = \"a\"\ntenant = \"t\"\nsnapshot = \"newest\"",
    "j.toml:4: key 'snapshot': found \"newest\", expected \"latest\", a date such as \"2026-11-23\", or a snapshot such as \"2026-11-23T02-00-00Z\""
)]
#[case::verify_with_drives(
    "kind = \"verify\"\narchive = \"a\"\ndrives = [\"me\"]",
    "j.toml:3: key 'drives' has no use in a verify job; expected it only in backup, audit, restore, migrate jobs"
)]
#[case::inline_tenant(
    "kind = \"backup\"\narchive = \"a\"\ndrives = [\"me\"]\n[tenant]\napi = \"simulator\"\n[tenant.simulator]\nmembers = 0\n[tenant.auth]\ntoken = { env = \"T\" }",
    "j.toml:7: key 'tenant.simulator.members': found 0, expected a whole number, at least 1"
)]
#[case::simulator_with_auth(
    "kind = \"backup\"\narchive = \"a\"\ndrives = [\"me\"]\n[tenant]\napi = \"simulator\"\n[tenant.auth]\ntoken = { env = \"T\" }",
    "j.toml:6: key 'tenant.auth' has no use with api = \"simulator\"; expected no such table: the simulator needs no credentials"
)]
fn each_kind_asks_for_what_it_needs(#[case] text: &str, #[case] expected: &str) {
    let problems = parse_job(text, Format::Toml, "j.toml").unwrap_err();
    assert_eq!(in_lines(&problems), expected);
}

#[rstest]
#[case::no_auth(
    "api = \"v2\"",
    "t.toml: key 'auth' is missing; expected a table with client-id, client-secret and refresh-token, or with token"
)]
#[case::wrong_api(
    "api = \"v3\"",
    "t.toml:1: key 'api': found \"v3\", expected \"v2\", \"classic\" or \"simulator\"; did you mean \"v2\"?"
)]
#[case::app_without_secret(
    "api = \"v2\"\n[auth]\nclient-id = \"x\"\nrefresh-token = { env = \"R\" }",
    "t.toml:2: key 'auth.client-secret' is missing; expected a reference to the client secret of the app"
)]
#[case::delegate_alone(
    "api = \"v2\"\n[auth]\ndelegate = true",
    "t.toml:2: key 'auth.private-key' is missing; expected a reference to the private key of the service account\nt.toml:2: key 'auth.service-account' is missing; expected the service account that the private key belongs to"
)]
#[case::classic(
    "api = \"classic\"\n[auth]\nserver-id = \"s\"\nclient-secret = { env = \"S\" }",
    "t.toml:2: key 'auth.consumer-key' is missing; expected a reference to the consumer key\nt.toml:2: key 'auth.private-key' is missing; expected a reference to the private key of the server\nt.toml:4: key 'auth.client-secret' has no use with api = \"classic\"; expected consumer-key instead\nt.toml: key 'api-id' is missing; expected the API ID of the tenant"
)]
#[case::plain_http(
    "api = \"v2\"\nauth.token = { env = \"T\" }\n[endpoints]\napi = \"http://drive.example.com/v1.0\"\nauth = \"http://127.0.0.1:9/x\"",
    "t.toml:4: key 'endpoints.api': found plain http:// to another machine, expected an address that begins with https:// (or allow-plain-http = true, which sends tokens unprotected)"
)]
#[case::host_with_scheme(
    "api = \"v2\"\nauth.token = { env = \"T\" }\nendpoints.storage = [\"https://x.example.com\"]",
    "t.toml:3: key 'endpoints.storage[0]': found \"https://x.example.com\", expected a host such as \"*.worksmobile.com\" or \"127.0.0.1:8080\", without https://"
)]
#[case::two_references(
    "api = \"v2\"\nauth.token = { env = \"T\", file = \"t\" }",
    "t.toml:2: key 'auth.token': found more than one, expected exactly one of env, file, command"
)]
#[case::no_reference(
    "api = \"v2\"\nauth.token = {}",
    "t.toml:2: key 'auth.token': found none, expected exactly one of env, file, command"
)]
fn a_wrong_tenant_says_what_and_where(#[case] text: &str, #[case] expected: &str) {
    let problems = parse_tenant(text, Format::Toml, "t.toml").unwrap_err();
    assert_eq!(in_lines(&problems), expected);
}

#[rstest]
#[case::token(
    "[auth]\ntoken = SECRET",
    "t.toml:3: key 'auth.token': found a secret written in clear, expected a reference such as { env = \"WORKS_TOKEN\" }, { file = \"works.token\" } or { command = [\"pass\", \"works\"] }"
)]
#[case::client_secret(
    "[auth]\nclient-id = \"c\"\nclient-secret = SECRET",
    "t.toml:4: key 'auth.client-secret': found a secret written in clear, expected a reference such as { env = \"WORKS_TOKEN\" }, { file = \"works.token\" } or { command = [\"pass\", \"works\"] }"
)]
#[case::in_a_list(
    "auth.refresh-token = [SECRET]",
    "t.toml:2: key 'auth.refresh-token': found a list, expected a reference such as { env = \"WORKS_TOKEN\" }, { file = \"works.token\" } or { command = [\"pass\", \"works\"] }"
)]
#[case::as_a_variable(
    "auth.private-key = { env = SECRET }",
    "t.toml:2: key 'auth.private-key.env': found a text that is not one (not shown, as it may be secret), expected the name of an environment variable such as \"WORKS_TOKEN\""
)]
#[case::as_a_command(
    "auth.consumer-key = { command = SECRET }",
    "t.toml:2: key 'auth.consumer-key.command': found a text, expected a list"
)]
#[case::under_a_wrong_key(
    "auth.token = { evn = SECRET }",
    "t.toml:2: key 'auth.token.evn' is not known; did you mean 'env'?"
)]
#[case::under_a_misspelt_key(
    "auth.client-secrt = SECRET",
    "t.toml:2: key 'auth.client-secrt' is not known; did you mean 'client-secret'?"
)]
#[case::in_an_address(
    "auth.token = { env = \"T\" }\nendpoints.api = ADDRESS",
    "t.toml:3: key 'endpoints.api': found an address with a user name or password, expected an address such as \"https://host/path\""
)]
#[case::in_broken_toml(
    "auth.token = SECRET SECRET",
    "t.toml:2: this is not TOML: unexpected key or value, expected newline, `#`"
)]
fn a_secret_in_clear_is_refused_and_not_shown(#[case] lines: &str, #[case] expected: &str) {
    let planted = "hunter2-\u{79d8}\u{5bc6}";
    let text = format!("api = \"v2\"\n{lines}\n")
        .replace("SECRET", &format!("\"{planted}\""))
        .replace("ADDRESS", &format!("\"https://me:{planted}@example.com\""));
    let problems = parse_tenant(&text, Format::Toml, "t.toml").unwrap_err();
    let said = in_lines(&problems);
    assert_eq!(said, expected);
    let all = format!("{problems:?}{}", serde_json::to_string(&problems).unwrap());
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn json_faults_have_lines_too() {
    let text = "{\"kind\": \"backup\",\n \"archive\": \"a\",\n \"tenant\": \"t\",\n \"drives\": [\"me\",\n  \"you\"],\n \"nul\": 1}";
    let problems = parse_job(text, Format::Json, "j.json").unwrap_err();
    assert_eq!(
        in_lines(&problems),
        "j.json:5: key 'drives[1]': found \"you\", expected a drive: me, users/*, users/<id or mail>, sharedrives/*, sharedrives/<id>, groups/*, groups/<id>, me/sharedfolders/* or key:<location>/<key>\n\
         j.json:6: key 'nul' is not known; the keys here are kind, tenant, archive, drives, exclude-drives, filter, limits, retention, window, time-zone, every, relist-after, rehash, infected, depth, alarms, notify, textfile, bom, json-lines, report, lang, partial-exit-code, snapshot, target, to, target-drive, on-conflict, map, permissions, check-back, results, keep, pass, deletions, deletion-limit, unmapped, sample, older-than, spot-check"
    );
}

#[rstest]
#[case::member("token = { env = \"T\" }", &["me", "sharedrives/*", "groups/*", "me/sharedfolders/*"], &[
    ("users/*", "but each member's drive needs a token that acts as that member: set service-account, private-key and delegate = true"),
    ("users/u1", "but a member's token opens that member's drive only: use \"me\", set auth.member, or set service-account, private-key and delegate = true"),
    ("key:1/a", "a folder of the classic API, which api = \"v2\" cannot address"),
])]
#[case::named_member("token = { env = \"T\" }\nmember = \"u1@example.com\"", &["me", "users/U1@example.com"], &[
    ("users/u2@example.com", "but a member's token opens that member's drive only: use \"me\", set auth.member, or set service-account, private-key and delegate = true"),
])]
#[case::account_alone("client-id = \"c\"\nclient-secret = { env = \"S\" }\nservice-account = \"a\"\nprivate-key = { file = \"k\" }", &[], &[
    ("me", "but a service account cannot open Drive: log in as a member, or set delegate = true"),
    ("sharedrives/*", "but a service account cannot open Drive: log in as a member, or set delegate = true"),
])]
#[case::delegated("client-id = \"c\"\nclient-secret = { env = \"S\" }\nservice-account = \"a\"\nprivate-key = { file = \"k\" }\ndelegate = true", &["users/*", "users/u1", "users/*/sharedfolders/*"], &[
    ("me", "but auth.member does not say which member to act as"),
    ("sharedrives/*", "but auth.member does not say which member to act as"),
])]
#[case::login("client-id = \"c\"\nclient-secret = { env = \"S\" }", &["me", "groups/g"], &[])]
fn drives_that_no_credential_opens_are_named(
    #[case] auth: &str,
    #[case] good: &[&str],
    #[case] bad: &[(&str, &str)],
) {
    let text = format!("api = \"v2\"\n[auth]\n{auth}\n");
    let tenant = parse_tenant(&text, Format::Toml, "t.toml").unwrap();
    for word in good {
        let job = job(&format!("{BASE}drives = [\"{word}\"]"));
        assert_eq!(check_credentials(&job, &tenant, "j.toml"), [], "{word}");
    }
    for (word, reason) in bad {
        let text = format!("{BASE}drives = [\"{word}\"]");
        let problems: Vec<String> = check_credentials(&job(&text), &tenant, "j.toml")
            .into_iter()
            .map(|problem| problem.placed_in(&text, Format::Toml).to_string())
            .collect();
        assert_eq!(
            problems,
            [format!(
                "j.toml:4: key 'drives[0]': found \"{word}\", {reason}, expected drives that the tenant file's credentials can open"
            )]
        );
    }
}

#[test]
fn the_classic_api_opens_own_and_group_folders_only() {
    let text = "api = \"classic\"\napi-id = \"kr1\"\n[auth]\nconsumer-key = { env = \"K\" }\n";
    let tenant = parse_tenant(text, Format::Toml, "t.toml").unwrap();
    for (word, count) in [
        ("me", 0),
        ("key:24101/abc", 0),
        ("groups/*", 0),
        ("users/*", 1),
        ("sharedrives/*", 1),
        ("me/sharedfolders/*", 1),
    ] {
        let job = job(&format!("{BASE}drives = [\"{word}\"]"));
        assert_eq!(check_credentials(&job, &tenant, "j").len(), count, "{word}");
    }
}

#[test]
fn a_fingerprint_changes_with_what_is_done_and_with_nothing_else() {
    let print = |lines: &str| job(&format!("{BASE}{lines}\n")).fingerprint(None);
    let plain = print(DRIVES);
    for same in [
        "limits.transfers = 2\n",
        "window = \"01:00-02:00\"\n",
        "notify.start = \"https://example.com\"\n",
        "retention.keep-last = 3\n",
        "report = true\nlang = \"ja\"\n",
    ] {
        assert_eq!(print(&format!("{DRIVES}{same}")), plain, "{same}");
    }
    for (other, key) in [
        ("drives = [\"me\", \"groups/*\"]", "drives"),
        ("drives = [\"me\"]\nfilter.exclude = [\"*.tmp\"]", "filter"),
        (
            "drives = [\"me\"]\nexclude-drives = [\"groups/a\"]",
            "exclude-drives",
        ),
        ("drives = [\"me\"]\ninfected = \"skip\"", "infected"),
        ("drives = [\"me\"]\ndepth = [\"links\"]", "depth"),
    ] {
        assert_eq!(changed_keys(&plain, &print(other)), [key], "{other}");
    }
    let tenant = |api: &str| {
        let text = format!("api = \"v2\"\nauth.token = {{ env = \"T\" }}\nendpoints.api = \"{api}\"");
        parse_tenant(&text, Format::Toml, "t.toml").unwrap()
    };
    let with = |api: &str| job(&format!("{BASE}{DRIVES}")).fingerprint(Some(&tenant(api)));
    assert_eq!(with("https://a.example"), with("https://a.example/"));
    assert_eq!(
        changed_keys(&with("https://a.example"), &with("https://b.example")),
        ["tenant"]
    );
}

#[test]
fn defaults_are_those_of_the_documents() {
    let text = "api = \"v2\"\nauth.token = { env = \"T\" }\n";
    let tenant = parse_tenant(text, Format::Toml, "t.toml").unwrap();
    assert_eq!(
        format!("{:?} {:?}", tenant.plan, tenant.endpoints),
        "Standard Endpoints { api: Plain(\"https://www.worksapis.com/v1.0\"), \
         auth: Plain(\"https://auth.worksmobile.com/oauth2/v2.0\"), \
         login: Plain(\"https://auth.worksmobile.com/oauth2/v2.0\"), \
         file: Plain(\"https://file.drive.worksmobile.com\"), \
         storage: [\"*.worksmobile.com\", \"*.worksapis.com\"] }"
    );
    let text = "api = \"classic\"\napi-id = \"k\"\nauth.consumer-key = { env = \"K\" }\n";
    let tenant = parse_tenant(text, Format::Toml, "t.toml").unwrap();
    assert_eq!(tenant.plan.requests_per_minute(), 60);
    assert_eq!(
        format!("{:?}", tenant.endpoints.auth),
        "Plain(\"https://authapi.worksmobile.com\")"
    );
    assert_eq!(
        format!("{:?}", job(&format!("{BASE}{DRIVES}")).limits),
        "Limits { listings: 4, transfers: 8, uploads: 4, bandwidth: None, requests_per_minute: None, \
         attempts: 6, retry_for: 900s, timeout: 60s, minimum_rate: 1000, stall_after: 1800s, \
         spool: 8589934592 }"
    );
}

#[test]
fn paths_are_relative_to_their_file() {
    for (base, text, expected) in [
        ("jobs", "../archive-demo", "archive-demo"),
        ("jobs", "tenants/acme.toml", "jobs/tenants/acme.toml"),
        ("", "a", "a"),
        ("jobs", "/srv/a", "/srv/a"),
        ("jobs", "..", "."),
        ("jobs", "../../x", "../x"),
        ("/", "../../x", "/x"),
        (".", "./a/./b", "a/b"),
    ] {
        assert_eq!(
            resolve_path(Path::new(base), text),
            Path::new(expected),
            "{base} {text}"
        );
    }
}

/// Every key of the schema says what it is for, and every reference in it leads somewhere.
#[test]
fn the_schema_explains_every_key() {
    fn walk(value: &Value, path: &str, root: &Value, count: &mut usize) {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            let name = target.strip_prefix("#/$defs/").unwrap();
            assert!(root["$defs"].get(name).is_some(), "{path}: {target}");
        }
        let is_table = value.get("type").is_some_and(|kind| kind == "object");
        if let Some(keys) = value.get("properties").and_then(Value::as_object)
            && is_table
        {
            for (key, schema) in keys {
                *count += 1;
                assert!(schema.get("description").is_some(), "{path}.{key}");
            }
            assert_eq!(value["additionalProperties"], false, "{path}");
        }
        let children: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(list) => list.iter().map(|value| (String::new(), value)).collect(),
            _ => Vec::new(),
        };
        for (key, child) in children {
            walk(child, &format!("{path}/{key}"), root, count);
        }
    }
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut count = 0;
    walk(&schema, "", &schema, &mut count);
    assert!(count > 100, "{count} keys");
    assert!(schema["$defs"]["Job"]["properties"]["drives"].is_object());
    assert!(schema["$defs"]["Tenant"]["properties"]["auth"].is_object());
}

proptest::proptest! {
    /// Whatever a file holds, reading it ends in a job or in problems.
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}", json in proptest::bool::ANY) {
        let format = if json { Format::Json } else { Format::Toml };
        let _ = parse_job(&text, format, "f");
        let _ = parse_tenant(&text, format, "f");
    }

    /// A known key with any value is read or refused; a wrong value never makes the check and the types disagree.
    #[test]
    fn any_value_under_a_known_key_is_read_or_refused(
        key in proptest::sample::select(vec![
            "drives", "filter", "limits", "window", "time-zone", "rehash", "notify", "retention", "depth",
            "tenant", "alarms", "partial-exit-code", "every", "exclude-drives", "bom", "lang",
        ]),
        value in proptest::prop_oneof![
            "-?[0-9]{1,25}", "-?[0-9]{1,3}\\.[0-9]{1,3}", "\"\\PC{0,12}\"", "null", "true",
            "\\[[0-9]?\\]", "\\[\"[a-z/*:]{0,9}\"\\]", "\\{\"(start|include|keep-last|timeout|api)\": (1|-1|\"1s\"|\\[\\]|null)\\}",
        ],
    ) {
        let text = format!("{{\"kind\": \"backup\", \"archive\": \"a\", \"{key}\": {value}}}");
        if let Err(problems) = parse_job(&text, Format::Json, "f") {
            for problem in problems {
                proptest::prop_assert!(
                    problem.found != "something the schema does not describe", "{text}"
                );
            }
        }
    }
}

fn in_lines(problems: &[drivejob::job::Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn a_migration_goes_into_a_tenant_that_keeps_times() {
    let text =
        "kind = \"migrate\"\ntenant = \"a.toml\"\narchive = \"a\"\ntarget = \"t.toml\"\ndrives = [\"me\"]";
    let tenant = |api: &str| parse_tenant(api, Format::Toml, "t.toml").unwrap();
    let classic = tenant(
        "api = \"classic\"\napi-id = \"kr1\"\n[auth]\nconsumer-key = { env = \"K\" }\ntoken = { env = \"T\" }",
    );
    let v2 = tenant("api = \"v2\"\n[auth]\ntoken = { env = \"T\" }");
    let migrate = job(text);
    assert_eq!(check_target(&migrate, &v2, "j.toml"), None);
    let problem = check_target(&migrate, &classic, "j.toml").unwrap();
    assert_eq!(
        problem.placed_in(text, Format::Toml).to_string(),
        "j.toml:4: key 'target': found a tenant of the classic API, which keeps no modified times, expected a tenant file with \
         api = \"v2\""
    );
    let restore = job("kind = \"restore\"\narchive = \"a\"\ntarget = \"t.toml\"");
    assert_eq!(check_target(&restore, &classic, "j.toml"), None);
}
