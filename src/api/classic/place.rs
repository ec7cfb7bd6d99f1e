//! Where a page of a listing begins: an offset that is checked, since items that go away move all others.

use std::fmt;

use crate::api::items::Item;

/// How often one listing may be found moved before it counts as restless.
const TURNS: u32 = 10;

/// The beginning of a page. Each page but the first begins with the last item of the page before: where that is not there,
/// items were removed or added meanwhile, and the listing goes back until it finds that item again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Items that lie before it.
    offset: usize,
    /// How often the listing was found moved.
    turns: u32,
    /// The key of the item right before it; empty when there is none.
    last: String,
}

/// What follows a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The next page, or the end.
    On(Option<Place>),
    /// An earlier part, since the listing has moved.
    Back(Place),
    /// The listing was found moved too often.
    Restless,
}

impl Place {
    /// Takes a place as its text has it.
    pub(super) fn read(text: &str) -> Option<Place> {
        let mut parts = text.splitn(3, ' ');
        Some(Place {
            offset: parts.next()?.parse().ok()?,
            turns: parts.next()?.parse().ok()?,
            last: parts.next()?.to_owned(),
        })
    }

    /// The offset to ask for: that of the item right before, where it is known.
    pub(super) fn from(&self) -> usize {
        self.offset.saturating_sub(usize::from(!self.last.is_empty()))
    }

    /// What follows the page that came, from which items that were known are taken away. `more` is what the answer says;
    /// where it says nothing, only a page without new items is the last.
    pub(super) fn after(&self, items: &mut Vec<Item<'_>>, more: Option<bool>) -> Turn {
        let from = self.from();
        let end = from.saturating_add(items.len());
        let turns = self.turns;
        if !self.last.is_empty() {
            match items.iter().position(|item| key(item) == self.last) {
                Some(known) => {
                    items.drain(..=known);
                }
                // The item itself is gone: the listing begins anew.
                None if from == 0 => {}
                None if turns >= TURNS => return Turn::Restless,
                None => {
                    let step = items.len().max(1).saturating_mul(1 << turns);
                    return Turn::Back(Place {
                        offset: from.saturating_sub(step) + 1,
                        turns: turns + 1,
                        last: self.last.clone(),
                    });
                }
            }
        }
        // Where a page holds nothing beyond the known item, the next one begins unchecked, or it would be the same again.
        let last = items.last().map(key).unwrap_or_default().to_owned();
        let more = more.unwrap_or(!items.is_empty());
        Turn::On(more.then_some(Place {
            offset: end,
            turns,
            last,
        }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.offset, self.turns, self.last)
    }
}

fn key<'a>(item: &'a Item<'_>) -> &'a str {
    item.text("resourceKey").unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    /// Lists `names` by pages of three, with a change before each page; gives what was seen, and the calls.
    fn list(mut names: Vec<&'static str>, changes: &[&[&'static str]]) -> (BTreeSet<String>, usize) {
        let mut seen = BTreeSet::new();
        let mut place = Place::default();
        for call in 0..100 {
            for gone in changes.get(call).copied().unwrap_or_default() {
                names.retain(|name| name != gone);
            }
            let end = (place.from() + 3).min(names.len());
            let mut items: Vec<Item<'_>> = names
                .get(place.from()..end)
                .unwrap_or_default()
                .iter()
                .map(|name| json!({ "resourceKey": name }).into())
                .collect();
            let turn = place.after(&mut items, Some(end < names.len()));
            seen.extend(items.iter().map(|item| key(item).to_owned()));
            place = match turn {
                Turn::On(None) => return (seen, call + 1),
                Turn::On(Some(next)) | Turn::Back(next) => Place::read(&next.to_string()).unwrap(),
                Turn::Restless => return (seen, usize::MAX),
            };
        }
        (seen, usize::MAX)
    }

    #[test]
    fn what_stays_is_seen_whatever_goes_away_between_pages() {
        let names = || vec!["a", "b", "c", "d", "e", "f", "g", "h"];
        let table: [&[&[&'static str]]; 7] = [
            &[],
            &[&[], &["a"]],
            &[&[], &["c"]],
            &[&[], &["a", "b"]],
            &[&[], &["a", "b", "c"]],
            &[&[], &[], &[], &["a", "b", "c", "d"]],
            &[&[], &["a"], &["b"], &["c"], &["d"]],
        ];
        for changes in table {
            let (seen, calls) = list(names(), changes);
            let gone: BTreeSet<&str> = changes.iter().copied().flatten().copied().collect();
            for name in names() {
                assert!(
                    seen.contains(name) || gone.contains(name),
                    "{changes:?}: {seen:?}"
                );
            }
            // Three new items a page at first, then two; each change costs two or three calls more.
            assert!(calls <= 4 + 3 * changes.len(), "{changes:?}: {calls}");
            assert!(!changes.is_empty() || calls == 4, "{calls}");
        }
    }

    #[test]
    fn an_answer_that_does_not_tell_of_more_ends_with_a_page_without_news() {
        let place = Place {
            offset: 3,
            turns: 0,
            last: "c".to_owned(),
        };
        let item = |name: &str| Item::from(json!({ "resourceKey": name }));
        let mut news = vec![item("c"), item("d")];
        let next = Place {
            offset: 4,
            turns: 0,
            last: "d".to_owned(),
        };
        assert_eq!(place.after(&mut news, None), Turn::On(Some(next)));
        assert_eq!(news, [item("d")]);
        assert_eq!(place.after(&mut vec![item("c")], None), Turn::On(None));
        assert_eq!(Place::default().after(&mut vec![], None), Turn::On(None));
        let restless = Place {
            offset: 30,
            turns: TURNS,
            last: "c".to_owned(),
        };
        assert_eq!(restless.after(&mut vec![item("x")], Some(true)), Turn::Restless);
        assert_eq!(Place::read("30"), None);
    }
}
