//! Rules and permissions of shared drives. What is not understood here is an error: a guess would open or shut a door.

use serde_json::{Map, Value, json};

use crate::api::read::text;
use crate::api::refusal::shown;
use crate::drive::{Grant, Party, PartyKind, Reach, Right, Rules, SharingChange};

/// Reads a `ShareDrive` (API 2.0 docs, EN/sharedrive-list and EN/sharedrive-create).
pub(in crate::api::v2) fn rules(raw: &Value) -> Result<Rules, String> {
    let reach = match text(raw, "accessibleRange").as_deref() {
        Some("TENANT") => Reach::Tenant,
        Some("DOMAIN") => Reach::Domain,
        Some("MEMBER") => Reach::Members,
        other => {
            return Err(format!(
                "'accessibleRange' is {}",
                shown(other.unwrap_or("not told"))
            ));
        }
    };
    let right = match text(raw, "permissionType") {
        // It means nothing where the drive is open to nobody.
        None if reach == Reach::Members => Right::Write,
        word => right(word.as_deref(), "permissionType")?,
    };
    Ok(Rules {
        reach,
        right,
        masters: parties(raw, "masters")?,
        denied: parties(raw, "accessDenies")?,
    })
}

/// Reads a `Permission` (API 2.0 docs, EN/sharedrive-permission-create).
pub(in crate::api::v2) fn grant(raw: &Value) -> Result<Grant, String> {
    let missing = |field: &str| format!("a permission without '{field}'");
    let id = text(raw, "userId").ok_or_else(|| missing("userId"))?;
    Ok(Grant {
        id: text(raw, "permissionId").ok_or_else(|| missing("permissionId"))?,
        right: right(text(raw, "type").as_deref(), "type")?,
        party: Party {
            kind: kind(text(raw, "userType").as_deref())?,
            name: text(raw, "userName").unwrap_or_else(|| id.clone()),
            id,
        },
    })
}

fn right(word: Option<&str>, field: &str) -> Result<Right, String> {
    match word {
        Some("READ") => Ok(Right::Read),
        Some("WRITE") => Ok(Right::Write),
        other => Err(format!("'{field}' is {}", shown(other.unwrap_or("not told")))),
    }
}

/// Folder permissions are of members only, and may not say so.
fn kind(word: Option<&str>) -> Result<PartyKind, String> {
    match word {
        None | Some("USER") => Ok(PartyKind::User),
        Some("GROUP") => Ok(PartyKind::Group),
        Some("ORGUNIT") => Ok(PartyKind::OrgUnit),
        Some(other) => Err(format!("'userType' is {}", shown(other))),
    }
}

/// The word for a kind.
pub(in crate::api::v2) fn user_type(kind: PartyKind) -> &'static str {
    match kind {
        PartyKind::User => "USER",
        PartyKind::OrgUnit => "ORGUNIT",
        PartyKind::Group => "GROUP",
    }
}

fn parties(raw: &Value, field: &str) -> Result<Vec<Party>, String> {
    let items = match raw.get(field) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(format!("'{field}' is no list")),
    };
    items
        .iter()
        .map(|item| {
            let id = text(item, "id").ok_or_else(|| format!("somebody without an id in '{field}'"))?;
            Ok(Party {
                kind: kind(text(item, "type").as_deref())?,
                name: text(item, "name").unwrap_or_else(|| id.clone()),
                id,
            })
        })
        .collect()
}

/// The body that sets the rules of a drive; empty for another change.
pub(in crate::api::v2) fn change(change: &SharingChange) -> Value {
    let mut body = Map::new();
    if let SharingChange::Rules {
        reach,
        right,
        masters,
        denied,
    } = change
    {
        if let Some(reach) = reach {
            body.insert("accessibleRange".to_owned(), reach.as_str().into());
        }
        if let Some(right) = right {
            body.insert("permissionType".to_owned(), right.as_str().into());
        }
        // That a change may name the masters is by analogy with sharedrive-create.
        if let Some(masters) = masters {
            let masters = masters.iter().map(|one| json!({ "id": one.id })).collect();
            body.insert("masters".to_owned(), masters);
        }
        if let Some(denied) = denied {
            let denied = denied
                .iter()
                .map(|one| json!({ "id": one.id, "type": user_type(one.kind) }))
                .collect();
            body.insert("accessDenies".to_owned(), denied);
        }
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn what_is_not_understood_is_no_guess() {
        for (raw, expected) in [
            (json!({}), "'accessibleRange' is not told"),
            (
                json!({ "accessibleRange": "WORLD" }),
                "'accessibleRange' is WORLD",
            ),
            (
                json!({ "accessibleRange": "DOMAIN" }),
                "'permissionType' is not told",
            ),
            (
                json!({ "accessibleRange": "MEMBER", "masters": {} }),
                "'masters' is no list",
            ),
            (
                json!({ "accessibleRange": "MEMBER", "accessDenies": [{ "name": "x" }] }),
                "somebody without an id in 'accessDenies'",
            ),
        ] {
            assert_eq!(rules(&raw).unwrap_err(), expected);
        }
        for (raw, expected) in [
            (
                json!({ "userId": "u", "type": "READ" }),
                "a permission without 'permissionId'",
            ),
            (
                json!({ "userId": "u", "permissionId": "1", "type": "OWN" }),
                "'type' is OWN",
            ),
            (
                json!({ "userId": "u", "permissionId": "1", "type": "READ", "userType": "BOT" }),
                "'userType' is BOT",
            ),
        ] {
            assert_eq!(grant(&raw).unwrap_err(), expected);
        }
    }

    #[test]
    fn rules_and_grants_are_read_as_the_documents_show_them() {
        let read = rules(&json!({
            "sharedriveId": "@1", "accessibleRange": "DOMAIN", "permissionType": "READ",
            "masters": [{ "id": "m", "name": "山田" }],
            "accessDenies": [{ "id": "g", "name": "外注", "type": "GROUP" }],
        }))
        .unwrap();
        let party = |kind, id: &str, name: &str| Party {
            kind,
            id: id.to_owned(),
            name: name.to_owned(),
        };
        assert_eq!(
            read,
            Rules {
                reach: Reach::Domain,
                right: Right::Read,
                masters: vec![party(PartyKind::User, "m", "山田")],
                denied: vec![party(PartyKind::Group, "g", "外注")],
            }
        );
        let set = SharingChange::Rules {
            reach: None,
            right: Some(Right::Read),
            masters: Some(read.masters),
            denied: Some(read.denied),
        };
        assert_eq!(
            change(&set),
            json!({
                "permissionType": "READ",
                "masters": [{ "id": "m" }],
                "accessDenies": [{ "id": "g", "type": "GROUP" }],
            })
        );
        let read = grant(&json!({ "permissionId": "7", "type": "WRITE", "userId": "u" })).unwrap();
        assert_eq!(read.party, party(PartyKind::User, "u", "u"));
    }
}
