//! The fault script: what goes wrong, at which call of which operation, how often. Nothing in it is random.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::operation::{Operation, is_operation_name};

/// A list of rules, as a file of JSON or TOML holds it (`[[rule]]` tables in TOML).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// The rules; each counts its own calls.
    #[serde(default, rename = "rule", alias = "rules")]
    pub rules: Vec<Rule>,
}

/// One fault: an action and the calls it happens at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The fixed word of the operation (`drive.list`, `storage.download`, …), or `*` for every operation.
    pub operation: String,
    /// Only calls about this file or folder, by its name or its id; the root of a drive has the name `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The first call it happens at, counted from 1 over the calls that `operation` and `subject` fit.
    #[serde(default = "one")]
    pub call: u64,
    /// How many calls in a row it happens at; 0 = at every call from then on.
    #[serde(default = "one")]
    pub times: u64,
    /// What happens.
    #[serde(flatten)]
    pub action: Action,
}

fn one() -> u64 {
    1
}

/// What a fault does. Bytes are bytes of the body; on an upload they are bytes of the request's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Answers this status instead of doing the work.
    Status {
        /// HTTP status.
        code: u16,
        /// Additional headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body; without one, the error body of the generation is sent.
        #[serde(default)]
        body: Option<String>,
    },
    /// Waits before doing the work, in real time.
    Delay {
        /// Milliseconds.
        milliseconds: u64,
    },
    /// Resets the connection without doing the work and without an answer.
    ResetBeforeHeaders,
    /// Resets the connection after so many bytes.
    ResetAfterBytes {
        /// Bytes of the body that pass.
        bytes: u64,
    },
    /// Sends nothing more after so many bytes, and keeps the connection open.
    StallAfterBytes {
        /// Bytes of the body that pass.
        bytes: u64,
    },
    /// Sends the body slowly.
    SlowDrip {
        /// Bytes per second of real time.
        bytes_per_second: u64,
    },
    /// Declares a length that is wrong by so much, and sends the right bytes as far as the declared length lets them through.
    WrongLength {
        /// Added to the true length.
        by: i64,
    },
    /// Declares a smaller length, sends that many bytes, and ends cleanly.
    ShortCleanEnd {
        /// Bytes that are sent.
        bytes: u64,
    },
    /// Declares and sends more bytes than the item has.
    ExtraBytes {
        /// Bytes added at the end.
        bytes: u64,
    },
    /// Answers 200 with a page of HTML instead of doing the work.
    Html200,
    /// Answers 200 with this JSON instead of doing the work.
    Json200 {
        /// The body, sent as it stands.
        #[serde(default = "empty_object")]
        body: String,
    },
    /// Declares the body as gzip, and sends bytes that are none.
    CorruptGzip,
    /// Declares another type of content.
    WrongContentType {
        /// Value of `Content-Type`.
        #[serde(default = "plain_text")]
        content_type: String,
    },
    /// Adds more headers than any answer has.
    EndlessHeaders,
    /// Answers 401 as for an expired token.
    ExpiredToken,
    /// Answers as for a download or upload URL whose time is over.
    ExpiredUrl {
        /// HTTP status.
        #[serde(default = "forbidden")]
        code: u16,
    },
    /// Redirects to another address instead of doing the work.
    RedirectTo {
        /// Value of `Location`.
        url: String,
    },
    /// Redirects to the address of the call itself.
    RedirectLoop,
    /// Removes the item of the call for good, then does the work.
    Vanish,
    /// Does the work, then changes the folder that was listed, so that later pages differ.
    MutateListing {
        /// Name of a file to add.
        #[serde(default)]
        add: Option<String>,
        /// Name of a child to remove.
        #[serde(default)]
        remove: Option<String>,
    },
    /// Gives the cursor of this very page as the next one.
    RepeatCursor,
    /// Gives a cursor that belongs to another list.
    ForeignCursor,
    /// Lists every item of the page twice.
    DuplicateItems,
    /// Ends the list here, although there is more.
    NoNextCursorOnFullPage,
    /// Leaves out the first field of this name.
    MissingField {
        /// Name of the field.
        name: String,
    },
    /// Makes the first field of this name null.
    NullField {
        /// Name of the field.
        name: String,
    },
    /// Gives the first field of this name a value of another type.
    WrongType {
        /// Name of the field.
        name: String,
    },
    /// Gives the first field of this name a number that fits no 64 bits.
    HugeNumber {
        /// Name of the field.
        name: String,
    },
    /// Adds a field of deeply nested arrays.
    DeepNesting {
        /// Levels.
        #[serde(default = "levels")]
        levels: usize,
    },
    /// Takes the name away from the first item of the list.
    NamelessItem,
    /// Does the work, then resets the connection instead of answering.
    LostAnswer,
}

fn empty_object() -> String {
    "{}".to_owned()
}

fn plain_text() -> String {
    "text/plain".to_owned()
}

fn forbidden() -> u16 {
    403
}

fn levels() -> usize {
    10_000
}

impl Rule {
    /// A rule for the first call of an operation.
    pub fn new(operation: &str, action: Action) -> Self {
        Self {
            operation: operation.to_owned(),
            subject: None,
            call: 1,
            times: 1,
            action,
        }
    }

    /// Only for this file or folder, by name or id.
    #[must_use]
    pub fn about(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }

    /// From this call on, counted from 1.
    #[must_use]
    pub fn from_call(mut self, call: u64) -> Self {
        self.call = call;
        self
    }

    /// At so many calls in a row; 0 = at all of them.
    #[must_use]
    pub fn repeated(mut self, times: u64) -> Self {
        self.times = times;
        self
    }
}

/// A rule names an operation that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault rule {number}: {operation:?} is not the name of an operation")]
pub struct UnknownOperation {
    /// The rule's place in the script, from 1.
    pub number: usize,
    /// The word given.
    pub operation: String,
}

/// The subject of a call, for rules that name one.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    pub(super) id: String,
    pub(super) name: String,
}

/// The script of a running simulator, and what has happened of it.
#[derive(Debug, Default)]
pub struct Faults {
    any: AtomicBool,
    loaded: Mutex<Vec<Loaded>>,
}

#[derive(Debug)]
struct Loaded {
    rule: Rule,
    seen: u64,
    fired: u64,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Vec<Loaded>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule to those in force.
    ///
    /// # Errors
    /// The rule names an unknown operation.
    pub fn add(&self, rule: Rule) -> Result<(), UnknownOperation> {
        self.load(Script { rules: vec![rule] })
    }

    /// Adds all rules of a script.
    ///
    /// # Errors
    /// A rule names an unknown operation; then none is added.
    pub fn load(&self, script: Script) -> Result<(), UnknownOperation> {
        for (index, rule) in script.rules.iter().enumerate() {
            if !is_operation_name(&rule.operation) {
                return Err(UnknownOperation {
                    number: index + 1,
                    operation: rule.operation.clone(),
                });
            }
        }
        let mut loaded = self.lock();
        loaded.extend(script.rules.into_iter().map(|rule| Loaded {
            rule,
            seen: 0,
            fired: 0,
        }));
        self.any.store(!loaded.is_empty(), Ordering::Release);
        Ok(())
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.lock().clear();
        self.any.store(false, Ordering::Release);
    }

    /// The rules that have not happened once.
    pub fn unreached(&self) -> Vec<Rule> {
        self.lock()
            .iter()
            .filter(|loaded| loaded.fired == 0)
            .map(|loaded| loaded.rule.clone())
            .collect()
    }

    /// How often rules have happened, all together.
    pub fn fired(&self) -> u64 {
        self.lock().iter().map(|loaded| loaded.fired).sum()
    }

    /// The actions for one call, in the order of the script.
    pub(super) fn take(&self, operation: Operation, subject: impl FnOnce() -> Subject) -> Vec<Action> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let subject = subject();
        self.lock()
            .iter_mut()
            .filter_map(|loaded| {
                let rule = &loaded.rule;
                let fits = (rule.operation == "*" || rule.operation == operation.name())
                    && rule
                        .subject
                        .as_ref()
                        .is_none_or(|wanted| *wanted == subject.id || *wanted == subject.name);
                if !fits {
                    return None;
                }
                loaded.seen += 1;
                let due = loaded.seen >= rule.call
                    && (rule.times == 0 || loaded.seen < rule.call.saturating_add(rule.times));
                due.then(|| {
                    loaded.fired += 1;
                    rule.action.clone()
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Action, Faults, Rule, Script, Subject};
    use crate::sim::operation::{Operation, Single};

    #[test]
    fn rules_count_their_own_calls() {
        let faults = Faults::default();
        faults
            .add(
                Rule::new("users.list", Action::Html200)
                    .about("b")
                    .from_call(2)
                    .repeated(2),
            )
            .unwrap();
        faults.add(Rule::new("groups.list", Action::LostAnswer)).unwrap();
        let hits: Vec<bool> = ["a", "b", "b", "a", "b", "b"]
            .into_iter()
            .map(|name| {
                let subject = Subject {
                    id: String::new(),
                    name: name.to_owned(),
                };
                !faults
                    .take(Operation::single(Single::UsersList), || subject)
                    .is_empty()
            })
            .collect();
        assert_eq!(hits, [false, false, true, false, true, false]);
        assert_eq!(faults.fired(), 2);
        assert_eq!(faults.unreached(), [Rule::new("groups.list", Action::LostAnswer)]);
        assert!(faults.add(Rule::new("drive.lists", Action::Html200)).is_err());
    }

    #[test]
    fn a_script_reads_from_text_and_back() {
        let script: Script = serde_json::from_value(serde_json::json!({ "rule": [
            {
                "operation": "drive.list", "call": 2, "action": "status", "code": 503,
                "headers": { "Retry-After": "1" },
            },
            {
                "operation": "storage.download", "subject": "a.txt", "times": 0,
                "action": "slow-drip", "bytes-per-second": 9,
            },
        ] }))
        .unwrap();
        assert_eq!(script.rules.len(), 2);
        assert_eq!(script.rules[1].action, Action::SlowDrip { bytes_per_second: 9 });
        let json = serde_json::to_string(&script).unwrap();
        assert_eq!(serde_json::from_str::<Script>(&json).unwrap(), script);
    }
}
