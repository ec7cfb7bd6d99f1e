//! The floor plan as data: which module may use which, and which owns an outside crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, its layer, and the modules of ours that it may use. The twin of the table in the crate docs.
const MODULES: &[(&str, &[&str])] = &[
    // Layer 0: values.
    ("secret", &[]),
    ("id", &[]),
    ("path", &[]),
    ("entry", &["id", "path"]),
    ("filter", &["id", "path", "entry"]),
    ("monitor", &["id", "path", "entry"]),
    ("stop", &[]),
    // Layer 1: text and decisions.
    ("manifest", VALUES),
    ("depth", &["id", "entry", "manifest"]),
    ("coverage", &["id", "entry", "manifest"]),
    ("plan", &["id", "path", "entry", "filter", "manifest", "coverage"]),
    ("job", &["id", "path", "entry", "filter", "plan", "secret"]),
    (
        "report",
        &["id", "path", "entry", "monitor", "manifest", "coverage"],
    ),
    ("page", &["id", "path", "entry", "manifest", "coverage", "report"]),
    ("retention", &["id"]),
    ("notify", &["report"]),
    ("status", &["notify"]),
    ("metrics", &["monitor", "manifest", "coverage", "report"]),
    (
        "estimate",
        &["id", "path", "entry", "manifest", "depth", "coverage", "report"],
    ),
    // Layer 2: edges.
    ("drive", VALUES),
    (
        "ledger",
        &["id", "path", "entry", "manifest", "coverage", "drive"],
    ),
    (
        "api",
        &[
            "id", "path", "entry", "filter", "monitor", "secret", "stop", "drive",
        ],
    ),
    ("archive", &["id", "path", "entry", "manifest", "coverage"]),
    ("sim", &[]),
    ("blocking", &[]),
    // Layer 3: operations.
    ("throttle", &[]),
    ("walk", OPERATION),
    ("keep", OPERATION),
    ("fetch", OPERATION),
    ("details", OPERATION),
    ("backup", OPERATION),
    ("diff", OPERATION),
    ("restore", OPERATION),
    (
        "verify",
        &[
            "id", "entry", "monitor", "stop", "manifest", "coverage", "report", "drive", "archive",
        ],
    ),
    (
        "prune",
        &["id", "stop", "manifest", "report", "retention", "archive"],
    ),
    ("watch", &["id", "monitor", "stop", "notify", "status"]),
    (
        "browse",
        &[
            "id",
            "path",
            "entry",
            "filter",
            "stop",
            "manifest",
            "report",
            "retention",
            "status",
            "archive",
            "watch",
        ],
    ),
    ("migrate", OPERATION),
    // Layer 4: the whole.
    ("runner", &["*"]),
    // Layer 5: the shell.
    ("cli", &["*", "sim"]),
];

const VALUES: &[&str] = &["id", "path", "entry", "filter", "monitor", "secret", "stop"];

const OPERATION: &[&str] = &[
    "id", "path", "entry", "filter", "monitor", "stop", "manifest", "depth", "coverage", "plan", "report",
    "drive", "ledger", "archive", "blocking", "throttle", "walk", "keep", "fetch", "backup", "restore",
];

/// Outside crates with one owner.
const OWNERS: &[(&str, &str)] = &[
    ("reqwest", "src/api/http"),
    ("rustls", "src/api/http"),
    ("governor", "src/api/pace"),
    ("clap", "src/cli/"),
    ("console", "src/cli/"),
    ("tracing_subscriber", "src/cli/"),
    ("axum", "src/sim/"),
    ("csv", "src/manifest/"),
    ("globset", "src/filter/"),
    ("toml", "src/job/"),
    ("schemars", "src/job/"),
    ("rusqlite", "src/ledger/"),
    ("secrecy", "src/secret.rs"),
];

/// Words that stand for an effect, and the only places that may have it.
const EFFECTS: &[(&str, &[&str])] = &[
    ("println!", &["src/cli/"]),
    ("eprintln!", &["src/cli/"]),
    ("std::env::var", &["src/cli/", "src/runner/"]),
    ("env::var(", &["src/cli/", "src/runner/"]),
    (".reveal()", &["src/api/auth", "src/secret.rs"]),
    ("Timestamp::now", &["src/cli/", "src/sim/"]),
    ("SystemTime::now", &["src/cli/", "src/sim/", "src/api/pace"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file as its path from the package root and its text without tests and comments.
fn sources() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let whole = fs::read_to_string(&path).unwrap();
                found.push((relative(&path), code_of(&whole), whole));
            }
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap()
        .to_string_lossy()
        .replace('\\', "/")
}

fn code_of(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    body.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Test-only files hold tests, not the house.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.ends_with("/testing.rs")
}

fn module_of(path: &str) -> &str {
    let rest = path.strip_prefix("src/").unwrap();
    rest.split('/').next().unwrap().trim_end_matches(".rs")
}

fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (position, _) in code.match_indices("crate::") {
        let before = code[..position].chars().next_back();
        if before.is_some_and(|character| character.is_alphanumeric() || character == '_' || character == '$')
        {
            continue;
        }
        let rest = &code[position + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let names = group.split('}').next().unwrap_or_default();
            for name in names.split(',') {
                let name: String = name
                    .trim()
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if !name.is_empty() {
                    used.insert(name);
                }
            }
        } else {
            used.insert(
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    used
}

#[test]
fn each_module_uses_only_what_its_row_names() {
    let mut wrong = Vec::new();
    for (path, code, _) in sources() {
        let module = module_of(&path);
        if matches!(module, "lib" | "main") || is_test_file(&path) {
            continue;
        }
        let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{path}: the module '{module}' has no row"));
            continue;
        };
        for used in used_modules(&code) {
            let is_known = MODULES.iter().any(|(name, _)| *name == used);
            let any = allowed.contains(&"*") && used != "sim" && used != "cli";
            if is_known && used != module && !any && !allowed.contains(&used.as_str()) {
                wrong.push(format!(
                    "{path} uses {used}, which the row of {module} does not name"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_row_names_a_module_that_exists() {
    let modules: BTreeSet<String> = sources()
        .iter()
        .map(|(path, ..)| module_of(path).to_owned())
        .collect();
    for (name, _) in MODULES {
        assert!(
            modules.contains(*name),
            "the table names {name}, which is not there"
        );
    }
}

#[test]
fn each_file_says_what_it_is_for_in_its_first_line() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, _, text)| !text.starts_with("//! "))
        .map(|(path, ..)| path)
        .collect();
    assert!(silent.is_empty(), "no //! line: {silent:?}");
}

#[test]
fn each_outside_crate_stays_with_its_owner() {
    let mut wrong = Vec::new();
    for (path, code, _) in sources() {
        if is_test_file(&path) {
            continue;
        }
        for (name, owner) in OWNERS {
            let used = [format!("{name}::"), format!("use {name};")].iter().any(|form| {
                code.match_indices(form.as_str()).any(|(position, _)| {
                    !code[..position].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                })
            });
            if used && !path.starts_with(owner) {
                wrong.push(format!("{path} uses {name}, which belongs to {owner}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_effect_stays_in_its_place() {
    let mut wrong = Vec::new();
    for (path, code, _) in sources() {
        if is_test_file(&path) {
            continue;
        }
        for (word, places) in EFFECTS {
            if code.contains(word) && !places.iter().any(|place| path.starts_with(place)) {
                wrong.push(format!("{path} has {word}, which only {places:?} may have"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_crate_docs_name_every_module() {
    let docs = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let head: String = docs
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .collect::<Vec<_>>()
        .join("\n");
    for (name, _) in MODULES {
        assert!(
            head.contains(&format!("`{name}`")),
            "the crate docs do not name `{name}`"
        );
    }
}
