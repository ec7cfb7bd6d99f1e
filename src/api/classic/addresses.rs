//! The classic API's addresses, in one table.
//!
//! That API ended on 30 April 2023, and parts of its documents are lost: what stands here of folders to be made, of
//! group folders and of the hosts of contents is an assumption, which a tenant can replace one by one.

use std::collections::BTreeMap;

use crate::api::http::Url;
use crate::api::http::address::{encoded, with_query};
use crate::api::{Config, ConnectError, Dialect};

/// Name and address of every call. In braces: `api`, `file`, `auth` and `login` are the endpoints, `api-id` the
/// tenant's API ID, `rl` a storage location, and `key` a file's or folder's key.
pub(in crate::api) const TEMPLATES: &[(&str, &str)] = &[
    ("root", "{api}/r/{api-id}/drive/v2/files/root"),
    ("get", "{api}/r/{api-id}/drive/rl/{rl}/v2/files/{key}"),
    ("list", "{api}/r/{api-id}/drive/rl/{rl}/v2/files/{key}/children"),
    (
        "create-folder",
        "{api}/r/{api-id}/drive/rl/{rl}/v2/files/{key}/folder",
    ),
    ("upload", "{file}/drive/rl/{rl}/v2/files"),
    ("download", "{file}/drive/rl/{rl}/v2/files/{key}/download"),
    ("group-folders", "{api}/r/{api-id}/drive/v2/group-folders"),
    ("server-token", "{auth}/b/{api-id}/server/token"),
    ("authorize", "{login}/ba/{api-id}/service/authorize"),
    ("service-token", "{login}/ba/{api-id}/service/token"),
];

/// The host of tokens for programs, and that of logins: the documents name two, the configuration one.
const TOKENS: &str = "https://authapi.worksmobile.com";
const LOGINS: &str = "https://auth.worksmobile.com";

/// The addresses of one tenant.
#[derive(Debug)]
pub(super) struct Addresses {
    /// With the endpoints put in: what is left in braces are values.
    templates: BTreeMap<String, String>,
}

impl Addresses {
    /// The addresses of a configuration; a template of an unknown name is refused.
    pub(super) fn new(config: &Config) -> Result<Addresses, ConnectError> {
        let mut templates: BTreeMap<String, String> = TEMPLATES
            .iter()
            .map(|(name, template)| ((*name).to_owned(), (*template).to_owned()))
            .collect();
        for (name, template) in &config.templates {
            match templates.get_mut(name) {
                Some(known) => known.clone_from(template),
                None => return Err(ConnectError::Template(name.clone())),
            }
        }
        let trimmed = |text: &str| text.trim_end_matches('/').to_owned();
        let auth = trimmed(&config.endpoints.auth);
        let login = if auth == TOKENS {
            LOGINS.to_owned()
        } else {
            auth.clone()
        };
        let api = trimmed(&config.endpoints.api);
        let file = config
            .endpoints
            .file
            .as_deref()
            .map_or_else(|| api.clone(), trimmed);
        let mut endpoints = BTreeMap::from([("api", api), ("file", file), ("auth", auth), ("login", login)]);
        if let Dialect::Classic { api_id } = &config.dialect {
            endpoints.insert("api-id", encoded(api_id));
        }
        for template in templates.values_mut() {
            for (key, value) in &endpoints {
                *template = template.replace(&format!("{{{key}}}"), value);
            }
        }
        Ok(Addresses { templates })
    }

    /// The text of an address, with the values put in and encoded.
    fn text(&self, name: &str, values: &[(&str, &str)]) -> String {
        let mut rest = self.templates.get(name).map_or("", String::as_str);
        let mut text = String::with_capacity(rest.len() + 80);
        while let Some((before, key, after)) = next_place(rest) {
            text.push_str(before);
            match values.iter().find(|(known, _)| *known == key) {
                Some((_, value)) => text.push_str(&encoded(value)),
                None => text.extend(["{", key, "}"]),
            }
            rest = after;
        }
        text.push_str(rest);
        text
    }

    /// An address with query values; `None` where a value fits none.
    pub(super) fn url(&self, name: &str, values: &[(&str, &str)], query: &[(&str, &str)]) -> Option<Url> {
        let fits = |value: &str| !matches!(value, "" | "." | "..");
        values
            .iter()
            .all(|(_, value)| fits(value))
            .then(|| with_query(&self.text(name, values), query))?
    }
}

/// The first name in braces, with what is before and behind it.
fn next_place(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (key, after) = rest.split_once('}')?;
    Some((before, key, after))
}

/// An address of the token endpoints.
pub(in crate::api) fn auth(config: &Config, name: &str) -> Result<String, ConnectError> {
    Ok(Addresses::new(config)?.text(name, &[]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config() -> Config {
        let dialect = Dialect::Classic {
            api_id: "kr1 x".to_owned(),
        };
        Config::new(dialect, "state".into(), "tenant")
    }

    #[test]
    fn addresses_are_those_of_the_documents_unless_replaced() {
        let mut config = config();
        let addresses = Addresses::new(&config).unwrap();
        let url = |name: &str, query: &[(&str, &str)]| {
            let values = [("rl", "24101"), ("key", "a/b")];
            addresses.url(name, &values, query).unwrap().to_string()
        };
        assert_eq!(
            url("list", &[("offset", "0"), ("limit", "200")]),
            "https://apis.worksmobile.com/r/kr1%20x/drive/rl/24101/v2/files/a%2Fb/children?offset=0&limit=200"
        );
        assert_eq!(
            url("download", &[]),
            "https://file.drive.worksmobile.com/drive/rl/24101/v2/files/a%2Fb/download"
        );
        assert!(addresses.url("get", &[("rl", "1"), ("key", "..")], &[]).is_none());
        assert_eq!(
            auth(&config, "server-token").unwrap(),
            "https://authapi.worksmobile.com/b/kr1%20x/server/token"
        );
        assert_eq!(
            auth(&config, "authorize").unwrap(),
            "https://auth.worksmobile.com/ba/kr1%20x/service/authorize"
        );
        config.endpoints.auth = "http://127.0.0.1:1/".to_owned();
        config
            .templates
            .insert("server-token".to_owned(), "{auth}/t".to_owned());
        assert_eq!(auth(&config, "server-token").unwrap(), "http://127.0.0.1:1/t");
        config.templates.insert("lost".to_owned(), String::new());
        assert!(matches!(Addresses::new(&config), Err(ConnectError::Template(name)) if name == "lost"));
    }
}
