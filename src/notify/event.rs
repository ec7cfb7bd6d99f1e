//! What can be told.

use crate::report::Status;

/// Something that happened to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// A run began.
    Start,
    /// A run is complete.
    Success,
    /// A run came to its end, and something is missing.
    Partial,
    /// A run failed, or a check found a difference.
    Failure,
    /// A run stopped before its end, at the end of its window or because somebody asked for it; the next start goes on.
    Stopped,
    /// A run found something that a person should look at.
    Alarm,
    /// Slots of the schedule passed without a run.
    Late,
}

impl Event {
    /// Every event.
    pub const ALL: [Event; 7] = [
        Event::Start,
        Event::Success,
        Event::Partial,
        Event::Failure,
        Event::Stopped,
        Event::Alarm,
        Event::Late,
    ];

    /// The word of the message's `event` and of the status file.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Start => "start",
            Event::Success => "success",
            Event::Partial => "partial",
            Event::Failure => "failure",
            Event::Stopped => "stopped",
            Event::Alarm => "alarm",
            Event::Late => "late",
        }
    }

    /// The event a word stands for.
    pub fn from_word(word: &str) -> Option<Event> {
        Event::ALL.into_iter().find(|event| event.as_str() == word)
    }

    /// Whether it is the end of a run.
    pub fn is_end(self) -> bool {
        !matches!(self, Event::Start | Event::Alarm | Event::Late)
    }

    /// The event that a run's status is. A run that has no status failed.
    ///
    /// `stalled` says that the watchdog ended it: that is a failure, while a person's stop is none.
    pub fn of(status: Status, stalled: bool) -> Event {
        match status {
            Status::Complete => Event::Success,
            Status::Partial => Event::Partial,
            Status::Different | Status::Failed => Event::Failure,
            Status::Interrupted if stalled => Event::Failure,
            Status::WindowEnded | Status::Interrupted => Event::Stopped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_run_is_a_success() {
        for (status, stalled, event) in [
            (Status::Complete, false, Event::Success),
            (Status::Partial, false, Event::Partial),
            (Status::Different, false, Event::Failure),
            (Status::Failed, false, Event::Failure),
            (Status::WindowEnded, false, Event::Stopped),
            (Status::Interrupted, false, Event::Stopped),
            (Status::Interrupted, true, Event::Failure),
        ] {
            assert_eq!(Event::of(status, stalled), event);
            assert!(event.is_end());
        }
        for event in Event::ALL {
            assert_eq!(Event::from_word(event.as_str()), Some(event));
        }
    }
}
