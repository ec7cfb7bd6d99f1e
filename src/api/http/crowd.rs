//! How many requests may run side by side: learned from the service's refusals.
//!
//! The service has a second limit, on concurrent access, whose figure is not published (API 2.0 docs, KR/rate-limits).
//! Each refusal halves what we allow ourselves, and a long run of good answers adds one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for requests.
#[derive(Debug)]
pub(super) struct Crowd {
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    allowed: usize,
    /// Places that are still to be taken away, as soon as their holders leave.
    owed: usize,
    /// Good answers since the last change.
    good: usize,
}

/// Places before any refusal: more than a run asks for, so that only the service's word bounds it.
const MOST: usize = 256;
/// Good answers for each allowed place before one more is allowed.
const CALM: usize = 50;

/// A place that is held; it is left when dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    crowd: &'a Crowd,
    permit: Option<OwnedSemaphorePermit>,
}

impl Crowd {
    pub(super) fn new() -> Crowd {
        Crowd {
            places: Arc::new(Semaphore::new(MOST)),
            state: Mutex::new(State {
                allowed: MOST,
                owed: 0,
                good: 0,
            }),
        }
    }

    /// Waits for a place.
    pub(super) async fn enter(&self) -> Place<'_> {
        // The semaphore is never closed; were it, a request without a place does no harm.
        let permit = Arc::clone(&self.places).acquire_owned().await.ok();
        Place { crowd: self, permit }
    }

    /// A request was refused for the number of its neighbours: half of those that run now may stay.
    pub(super) fn refused(&self) {
        let mut state = self.state();
        let running = state
            .allowed
            .saturating_add(state.owed)
            .saturating_sub(self.places.available_permits());
        let target = (running.min(state.allowed) / 2).max(1);
        let surplus = state.allowed.saturating_sub(target);
        let gone = self.places.forget_permits(surplus);
        state.owed += surplus - gone;
        state.allowed = target;
        state.good = 0;
    }

    /// A request was answered well.
    pub(super) fn good(&self) {
        let mut state = self.state();
        if state.allowed >= MOST {
            return;
        }
        state.good += 1;
        if state.good >= state.allowed * CALM {
            state.good = 0;
            state.allowed += 1;
            if state.owed > 0 {
                state.owed -= 1;
            } else {
                self.places.add_permits(1);
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let mut state = self.crowd.state();
        if state.owed > 0 {
            state.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refusals_halve_what_runs_and_calm_gives_back() {
        let crowd = Crowd::new();
        let mut running = Vec::new();
        for _ in 0..8 {
            running.push(crowd.enter().await);
        }
        crowd.refused();
        assert_eq!(crowd.state().allowed, 4);
        assert_eq!(crowd.places.available_permits(), 0);
        running.drain(..4);
        assert_eq!(crowd.places.available_permits(), 0);
        running.clear();
        assert_eq!(crowd.places.available_permits(), 4);
        for _ in 0..10 {
            crowd.refused();
        }
        assert_eq!(crowd.state().allowed, 1);
        assert_eq!(crowd.places.available_permits(), 1);
        for _ in 0..CALM {
            crowd.good();
        }
        assert_eq!(crowd.places.available_permits(), 2);
    }
}
