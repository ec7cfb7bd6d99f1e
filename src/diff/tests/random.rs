//! The comparison of random trees against a naive one that keeps both in memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A tree in memory: parents by number, the drive's root is `None`.
#[derive(Clone, Debug)]
struct Node {
    id: usize,
    parent: Option<usize>,
    row: Row,
}

/// Names that sort before, at and after the slash.
const NAMES: [&str; 7] = ["a", "a b", "a.txt", "a0", "b", "\u{1}", "資料"];

type Edit = (u8, usize, usize, usize);

fn place_of(nodes: &BTreeMap<usize, Node>, node: &Node) -> DrivePath {
    let folder = node
        .parent
        .map_or(DrivePath::root(), |parent| place_of(nodes, &nodes[&parent]));
    folder.join(&node.row.entry.name)
}

fn is_free(nodes: &BTreeMap<usize, Node>, parent: Option<usize>, name: &str) -> bool {
    !nodes
        .values()
        .any(|node| node.parent == parent && node.row.entry.name == name)
}

fn is_below(nodes: &BTreeMap<usize, Node>, mut place: Option<usize>, folder: usize) -> bool {
    while let Some(id) = place {
        if id == folder {
            return true;
        }
        place = nodes[&id].parent;
    }
    false
}

fn edit(nodes: &mut BTreeMap<usize, Node>, next: &mut usize, (what, which, whither, name): Edit) {
    let folders: Vec<Option<usize>> = std::iter::once(None)
        .chain(
            nodes
                .values()
                .filter(|node| node.row.entry.is_folder())
                .map(|node| Some(node.id)),
        )
        .collect();
    let parent = folders[whither % folders.len()];
    let name = NAMES[name % NAMES.len()];
    if what < 4 || nodes.is_empty() {
        if is_free(nodes, parent, name) {
            let kind = if what % 2 == 0 { Kind::Folder } else { Kind::File };
            let id = *next;
            *next += 1;
            let mut row = row("me", &format!("/{name}"), &format!("i{id}"), "", kind);
            row.entry.properties.updated_by = Some("u".to_owned());
            row.sha256 = Some("00".to_owned());
            nodes.insert(id, Node { id, parent, row });
        }
        return;
    }
    let id = *nodes.keys().nth(which % nodes.len()).unwrap();
    match what {
        4 if is_free(nodes, nodes[&id].parent, name) => {
            nodes.get_mut(&id).unwrap().row.entry.name = name.to_owned();
        }
        5 if !is_below(nodes, parent, id) && is_free(nodes, parent, &nodes[&id].row.entry.name) => {
            nodes.get_mut(&id).unwrap().parent = parent;
        }
        6 => {
            let gone: Vec<usize> = nodes
                .keys()
                .copied()
                .filter(|node| is_below(nodes, Some(*node), id))
                .collect();
            nodes.retain(|node, _| !gone.contains(node));
        }
        7 => nodes.get_mut(&id).unwrap().row.entry.size = Some(100 + whither as u64 % 3),
        8 => nodes.get_mut(&id).unwrap().row.sha256 = Some(format!("{whither:02}")),
        9 => nodes.get_mut(&id).unwrap().row.entry.properties.shared = Some(whither % 2 == 0),
        10 => nodes.get_mut(&id).unwrap().row.entry.properties.updated_by = Some(format!("u{whither}")),
        _ => {}
    }
}

/// The rows of a tree in which the listing of some folders failed: all of it, or its later half.
fn rows_of(nodes: &BTreeMap<usize, Node>, unread: &[(usize, bool)]) -> (Vec<Row>, BTreeMap<usize, Row>) {
    let folders: Vec<usize> = nodes
        .values()
        .filter(|node| node.row.entry.is_folder())
        .map(|node| node.id)
        .collect();
    let unread: BTreeMap<usize, bool> = unread
        .iter()
        .filter(|_| !folders.is_empty())
        .map(|(which, half)| (folders[which % folders.len()], *half))
        .collect();
    let mut seen = BTreeMap::new();
    for node in nodes.values() {
        let mut above = Some(node);
        let mut hidden = false;
        while let Some(here) = above {
            above = here.parent.map(|parent| &nodes[&parent]);
            hidden |= above.is_some_and(|folder| match unread.get(&folder.id) {
                Some(half) => !half || here.id % 2 == 0,
                None => false,
            });
        }
        if hidden {
            continue;
        }
        let mut row = node.row.clone();
        row.path = place_of(nodes, node);
        row.entry.parent_id = Some(FileId::new(
            node.parent.map_or("top".to_owned(), |id| format!("i{id}")),
        ));
        if unread.contains_key(&node.id) {
            row.outcome = Outcome::Failed;
        }
        seen.insert(node.id, row);
    }
    (sorted(seen.values().cloned().collect()), seen)
}

/// Whether the other snapshot can tell that an item is not there: its nearest folder that the other one has was listed.
fn is_judged(nodes: &BTreeMap<usize, Node>, other: &BTreeMap<usize, Row>, id: usize) -> bool {
    let mut above = nodes[&id].parent;
    while let Some(folder) = above {
        if let Some(row) = other.get(&folder) {
            return row.outcome != Outcome::Failed;
        }
        above = nodes[&folder].parent;
    }
    true
}

fn naive(
    old: (&BTreeMap<usize, Node>, &BTreeMap<usize, Row>),
    new: (&BTreeMap<usize, Node>, &BTreeMap<usize, Row>),
) -> BTreeMap<usize, (Vec<Word>, u64)> {
    let mut told: BTreeMap<usize, (Vec<Word>, u64)> = BTreeMap::new();
    let ids: BTreeSet<usize> = old.1.keys().chain(new.1.keys()).copied().collect();
    for id in &ids {
        let words = match (old.1.get(id), new.1.get(id)) {
            (Some(before), Some(after)) => {
                let is_file = !before.entry.is_folder();
                let (one, other) = (&before.entry, &after.entry);
                let changed = is_file && one.size != other.size;
                let tests = [
                    (one.name != other.name, Word::Renamed),
                    (one.parent_id != other.parent_id, Word::Moved),
                    (changed, Word::Changed),
                    (
                        is_file && !changed && before.sha256 != after.sha256,
                        Word::Content,
                    ),
                    (
                        one.properties.shared.unwrap_or(false) != other.properties.shared.unwrap_or(false),
                        Word::Access,
                    ),
                    (
                        one.properties.updated_by != other.properties.updated_by,
                        Word::Owner,
                    ),
                    (before.outcome != after.outcome, Word::Outcome),
                ];
                tests
                    .into_iter()
                    .filter(|(is, _)| *is)
                    .map(|(_, word)| word)
                    .collect()
            }
            (Some(_), None) if is_judged(old.0, new.1, *id) => vec![Word::Removed],
            (None, Some(_)) if is_judged(new.0, old.1, *id) => vec![Word::Added],
            _ => vec![Word::Unknown],
        };
        if !words.is_empty() {
            told.insert(*id, (words, 0));
        }
    }
    for id in ids {
        let (Some(before), Some(after)) = (old.1.get(&id), new.1.get(&id)) else {
            continue;
        };
        let relocated = |id: &usize| {
            told.get(id)
                .is_some_and(|(words, _)| words.contains(&Word::Renamed) || words.contains(&Word::Moved))
        };
        if before.path == after.path || relocated(&id) {
            continue;
        }
        let mut above = new.0[&id].parent;
        while let Some(folder) = above {
            if relocated(&folder) {
                told.get_mut(&folder).unwrap().1 += 1;
                break;
            }
            above = new.0[&folder].parent;
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_compare_as_in_memory(
        planting in prop::collection::vec((0..4_u8, 0..40_usize, 0..40_usize, 0..7_usize), 0..40),
        edits in prop::collection::vec((0..11_u8, 0..40_usize, 0..40_usize, 0..7_usize), 0..25),
        unread_before in prop::collection::vec((0..20_usize, any::<bool>()), 0..2),
        unread_after in prop::collection::vec((0..20_usize, any::<bool>()), 0..3),
    ) {
        let (mut nodes, mut next) = (BTreeMap::new(), 0);
        for step in planting {
            edit(&mut nodes, &mut next, step);
        }
        let old = nodes.clone();
        for step in edits {
            edit(&mut nodes, &mut next, step);
        }
        let (before, seen_before) = rows_of(&old, &unread_before);
        let (after, seen_after) = rows_of(&nodes, &unread_after);
        let options = Options { covered_after: BTreeSet::from([DriveId::new("me")]) };
        let scratch = tempfile::tempdir().unwrap();
        let mut found = BTreeMap::new();
        diff(
            before.into_iter().map(Ok),
            after.into_iter().map(Ok),
            scratch.path(),
            &options,
            |change| {
                let id: usize = change.item().unwrap().id.as_str()[1..].parse().unwrap();
                assert!(found.insert(id, (change.words.clone(), change.carried)).is_none());
                Ok(())
            },
        ).unwrap();
        prop_assert_eq!(found, naive((&old, &seen_before), (&nodes, &seen_after)));
    }
}
