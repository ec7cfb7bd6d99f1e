//! The schedule examples: they parse, they call commands that exist, and they keep the promises of their comments.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("jobs/schedule")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

/// A systemd unit: the values of each key by section, as `systemd.syntax` says. No line of ours is continued.
fn unit(name: &str) -> BTreeMap<(String, String), Vec<String>> {
    let mut section = String::new();
    let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for line in read(name).lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = title.to_owned();
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("{name}: '{line}' is no key and value"));
        assert!(!section.is_empty(), "{name}: '{line}' stands before any section");
        assert!(!line.ends_with('\\'), "{name}: '{line}' is continued");
        found
            .entry((section.clone(), key.to_owned()))
            .or_default()
            .push(value.to_owned());
    }
    found
}

fn one(unit: &BTreeMap<(String, String), Vec<String>>, section: &str, key: &str) -> String {
    let values = unit
        .get(&(section.to_owned(), key.to_owned()))
        .unwrap_or_else(|| panic!("no {key} in [{section}]"));
    values.join(" ")
}

#[test]
fn services_run_a_command_and_may_do_little_else() {
    for (name, command) in [
        ("drivejob@.service", "run /etc/drivejob/%i.toml"),
        (
            "drivejob-status.service",
            "status /srv/drive-archive --max-age 26h",
        ),
    ] {
        let unit = unit(name);
        let service = |key: &str| one(&unit, "Service", key);
        let start = service("ExecStart");
        assert_eq!(
            start.strip_prefix("/usr/local/bin/drivejob "),
            Some(command),
            "{name}"
        );
        for (key, value) in [
            ("Type", "oneshot"),
            ("User", "drivejob"),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "true"),
            ("PrivateTmp", "true"),
            ("PrivateDevices", "true"),
            ("NoNewPrivileges", "true"),
            ("CapabilityBoundingSet", ""),
            ("RestrictSUIDSGID", "true"),
            ("MemoryDenyWriteExecute", "true"),
        ] {
            assert_eq!(service(key), value, "{name}: {key}");
        }
        assert!(!one(&unit, "Unit", "Description").is_empty());
        assert_eq!(one(&unit, "Unit", "RequiresMountsFor"), "/srv/drive-archive");
    }
    let run = unit("drivejob@.service");
    // A stop is resumable and so is a closed window; a partial night must stay a failed unit.
    assert_eq!(one(&run, "Service", "SuccessExitStatus"), "6 130");
    assert_eq!(one(&run, "Service", "ReadWritePaths"), "/srv/drive-archive");
    assert_eq!(one(&run, "Service", "KillSignal"), "SIGTERM");
    assert_eq!(one(&run, "Service", "TimeoutStartSec"), "infinity");
    let status = unit("drivejob-status.service");
    assert_eq!(one(&status, "Service", "PrivateNetwork"), "true");
    assert!(!status.contains_key(&("Service".to_owned(), "SuccessExitStatus".to_owned())));
}

#[test]
fn timers_have_a_service_and_make_up_for_missed_nights() {
    for name in ["drivejob@.timer", "drivejob-status.timer"] {
        let timer = unit(name);
        assert!(folder().join(name.replace(".timer", ".service")).is_file());
        assert!(!one(&timer, "Timer", "OnCalendar").is_empty());
        assert_eq!(one(&timer, "Timer", "Persistent"), "true");
        assert_eq!(one(&timer, "Install", "WantedBy"), "timers.target");
    }
}

#[test]
fn cron_lines_have_five_times_a_user_and_a_command() {
    let text = read("drivejob.cron");
    let mut commands = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if line.contains('=') && !line.starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        for (field, highest) in fields.iter().zip([59, 23, 31, 12, 7]) {
            let fits = *field == "*" || field.parse::<u32>().is_ok_and(|number| number <= highest);
            assert!(fits, "'{field}' in '{line}'");
        }
        assert_eq!(fields[5], "drivejob", "the user in '{line}'");
        // A percent sign is a line feed in a crontab.
        assert!(!line.contains('%'), "{line}");
        let command = fields[6..].join(" ");
        let start = command.find("drivejob ").unwrap();
        commands.push(
            command[start + "drivejob ".len()..]
                .split(' ')
                .next()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(commands, ["run", "status", "run"]);
}

/// The text of each element by its path, from well-formed XML without attributes that hold `>`.
fn elements(text: &str) -> BTreeMap<String, String> {
    let mut open: Vec<String> = Vec::new();
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let content = rest[..start].trim();
        if !content.is_empty() {
            found.insert(open.join("/"), content.to_owned());
        }
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            let end = comment.find("--").unwrap();
            assert!(comment[end..].starts_with("-->"), "two hyphens inside a comment");
            rest = &comment[end + 3..];
            continue;
        }
        let end = rest.find('>').unwrap();
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closing tag");
        } else if !tag.starts_with('?') && !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap().to_owned());
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    found
}

#[test]
fn the_windows_task_is_well_formed_and_runs_the_job_alone() {
    let text = read("drivejob-windows.xml");
    // The Task Scheduler takes a file without an encoding for what it is, as long as it is ASCII.
    assert!(text.is_ascii() && text.starts_with("<?xml version=\"1.0\"?>"));
    let elements = elements(&text);
    for (path, value) in [
        (
            "Task/Actions/Exec/Command",
            "C:\\Program Files\\drivejob\\drivejob.exe",
        ),
        (
            "Task/Actions/Exec/Arguments",
            "run \"C:\\ProgramData\\drivejob\\nightly-backup.toml\"",
        ),
        ("Task/Settings/MultipleInstancesPolicy", "IgnoreNew"),
        ("Task/Settings/StartWhenAvailable", "true"),
        ("Task/Settings/ExecutionTimeLimit", "PT0S"),
        ("Task/Principals/Principal/RunLevel", "LeastPrivilege"),
        ("Task/Triggers/CalendarTrigger/ScheduleByDay/DaysInterval", "1"),
    ] {
        assert_eq!(elements.get(path).map(String::as_str), Some(value), "{path}");
    }
}

/// The values of a YAML text by their paths of keys: block style, two spaces a level, `- ` items, one document after another.
fn yaml(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let body = line.trim_start();
        if body.is_empty() || body.starts_with('#') {
            continue;
        }
        if line == "---" {
            open.clear();
            continue;
        }
        assert!(!line.contains('\t'), "a tab in '{line}'");
        let dashes = body.len() - body.trim_start_matches("- ").len();
        let depth = line.len() - body.len() + dashes;
        assert_eq!(depth % 2, 0, "indentation of '{line}'");
        let (key, value) = body
            .trim_start_matches("- ")
            .split_once(':')
            .unwrap_or_else(|| panic!("'{line}' has no key"));
        open.retain(|(level, _)| *level < depth);
        open.push((depth, key.to_owned()));
        let path: Vec<&str> = open.iter().map(|(_, key)| key.as_str()).collect();
        found.push((path.join("."), value.trim().trim_matches('"').to_owned()));
    }
    found
}

#[test]
fn the_cron_job_forbids_two_runs_and_runs_without_rights() {
    let values = yaml(&read("drivejob-kubernetes.yaml"));
    let job = "spec.jobTemplate.spec.";
    let pod = "spec.jobTemplate.spec.template.spec.";
    let container = "spec.jobTemplate.spec.template.spec.containers.";
    for (path, value) in [
        ("kind".to_owned(), "CronJob"),
        ("spec.concurrencyPolicy".to_owned(), "Forbid"),
        ("spec.schedule".to_owned(), "10 1 * * *"),
        (
            format!("{job}podFailurePolicy.rules.onExitCodes.values"),
            "[2, 3, 4]",
        ),
        (format!("{pod}restartPolicy"), "Never"),
        (format!("{pod}automountServiceAccountToken"), "false"),
        (format!("{pod}securityContext.runAsNonRoot"), "true"),
        (
            format!("{container}args"),
            "[\"run\", \"/etc/drivejob/nightly-backup.toml\"]",
        ),
        (
            format!("{container}securityContext.readOnlyRootFilesystem"),
            "true",
        ),
        (
            format!("{container}securityContext.allowPrivilegeEscalation"),
            "false",
        ),
        (
            format!("{container}securityContext.capabilities.drop"),
            "[\"ALL\"]",
        ),
    ] {
        assert!(
            values.iter().any(|(found, text)| *found == path && text == value),
            "{path} = {value}"
        );
    }
}

#[test]
fn the_readme_names_every_example() {
    let readme = read("README.md");
    for item in fs::read_dir(folder()).unwrap() {
        let name = item.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "README.md" || readme.contains(&format!("`{name}`")),
            "{name}"
        );
    }
}
