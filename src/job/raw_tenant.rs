//! The tenant file as it is written. The comments here are what `drivejob schema` tells of each key.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::json;

use super::tenant::{Api, Face, Plan};
use super::word::{Filled, HostWord, RequestsWord, SecretFile, Size, Variable, Written};

/// A tenant file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Tenant")]
pub(super) struct RawTenant {
    /// The API: v2 (API 2.0), classic (API ID), or simulator (a service inside the program, for trying out).
    pub(super) api: Api,
    /// The plan: free is 60 calls a minute for each API operation, standard is 240. Default: standard, for classic free.
    pub(super) plan: Option<Plan>,
    /// Calls a minute for each API operation, where the tenant has a figure of its own. A job's limits go before it.
    pub(super) requests_per_minute: Option<Written<RequestsWord>>,
    /// The tenant's domain. The login page of tenants with single sign-on needs it.
    pub(super) domain: Option<RawText>,
    /// The number of the domain whose members and groups are listed. Default: the domain of the app.
    pub(super) domain_id: Option<u64>,
    /// The API ID of the classic API.
    pub(super) api_id: Option<RawText>,
    /// Who asks, and with which secrets.
    pub(super) auth: Option<RawAuth>,
    /// Where the service is.
    pub(super) endpoints: Option<RawEndpoints>,
    /// Addresses of the classic API that differ from the known ones.
    pub(super) templates: Option<RawTemplates>,
    /// Whether addresses that begin with http:// are allowed outside this machine. Then tokens travel unprotected. Default: false.
    pub(super) allow_plain_http: Option<bool>,
    /// Files with certificates (PEM) that are trusted besides the usual ones.
    pub(super) extra_ca: Option<Vec<Written<Filled>>>,
    /// The simulated tenant.
    pub(super) simulator: Option<RawSimulator>,
}

/// Who asks, and with which secrets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Auth")]
pub(super) struct RawAuth {
    /// The client ID of the app.
    pub(super) client_id: Option<RawText>,
    /// The client secret of the app.
    pub(super) client_secret: Option<RawSecret>,
    /// The first refresh token. Later ones are kept in the token store.
    pub(super) refresh_token: Option<RawSecret>,
    /// An access token, given directly.
    pub(super) token: Option<RawSecret>,
    /// The file in which tokens are kept. Default: in the user's state folder.
    pub(super) token_store: Option<Written<Filled>>,
    /// The service account. Together with private-key it serves the directory calls.
    pub(super) service_account: Option<RawText>,
    /// The private key of the service account, or of the classic API's server.
    pub(super) private_key: Option<RawSecret>,
    /// Whether the service account may act as each member.
    pub(super) delegate: Option<bool>,
    /// The member whom tokens act for, by id or mail: whose drive is `me`.
    pub(super) member: Option<RawText>,
    /// The rights to ask for, separated by blanks.
    pub(super) scope: Option<Written<Filled>>,
    /// The address that the login page comes back to. It must be registered for the app, letter by letter.
    /// Default: http://localhost:9876/callback.
    pub(super) redirect_uri: Option<RawText>,
    /// The consumer key of the classic API.
    pub(super) consumer_key: Option<RawSecret>,
    /// The server ID of the classic API. With private-key it gives a server token.
    pub(super) server_id: Option<RawText>,
}

/// Where the service is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Endpoints")]
pub(super) struct RawEndpoints {
    /// The API. Default: https://www.worksapis.com/v1.0, for classic https://apis.worksmobile.com.
    pub(super) api: Option<RawText>,
    /// Tokens. Default: https://auth.worksmobile.com/oauth2/v2.0, for classic https://authapi.worksmobile.com.
    pub(super) auth: Option<RawText>,
    /// The login page, where it is elsewhere than the tokens. Default: as auth, for classic https://auth.worksmobile.com.
    pub(super) login: Option<RawText>,
    /// The file host of the classic API. Default: https://file.drive.worksmobile.com.
    pub(super) file: Option<RawText>,
    /// Hosts that may be sent the token for bytes. Default: *.worksmobile.com and *.worksapis.com.
    pub(super) storage: Option<Vec<Written<HostWord>>>,
}

/// Paths of the classic API behind the endpoint, with {api-id}, {location} and {key} to be filled in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Templates")]
pub(super) struct RawTemplates {
    /// Properties of the root.
    pub(super) root: Option<Written<Filled>>,
    /// Properties of a file or folder.
    pub(super) properties: Option<Written<Filled>>,
    /// The children of a folder.
    pub(super) children: Option<Written<Filled>>,
    /// Making a folder.
    pub(super) create_folder: Option<Written<Filled>>,
    /// The list of group folders.
    pub(super) group_folders: Option<Written<Filled>>,
    /// Uploads, on the file host.
    pub(super) upload: Option<Written<Filled>>,
    /// Downloads, on the file host.
    pub(super) download: Option<Written<Filled>>,
    /// The login page.
    pub(super) authorize: Option<Written<Filled>>,
    /// The service token.
    pub(super) service_token: Option<Written<Filled>>,
    /// The server token.
    pub(super) server_token: Option<Written<Filled>>,
}

/// A simulated tenant.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Simulator")]
pub(super) struct RawSimulator {
    /// The same number gives the same tenant. Default: 1.
    pub(super) seed: Option<u64>,
    /// Files in each drive. Default: 200.
    pub(super) files: Option<u64>,
    /// Folders in each drive. Default: 40.
    pub(super) folders: Option<u64>,
    /// The usual size of a file. Default: 20KB.
    pub(super) size: Option<Written<Size>>,
    /// Members. Default: 1.
    #[schemars(range(min = 1))]
    pub(super) members: Option<u32>,
    /// Shared drives. Default: 0.
    pub(super) shared_drives: Option<u32>,
    /// Group folders. Default: 0.
    pub(super) groups: Option<u32>,
    /// A folder of this machine that is the first member's drive, instead of made-up files.
    pub(super) import: Option<Written<Filled>>,
    /// Which API it speaks. Default: v2.
    pub(super) face: Option<Face>,
}

/// A text, or where to find it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Text")]
pub(super) enum RawText {
    /// The text itself.
    Plain(Written<Filled>),
    /// Where to find it.
    Reference(RawReference),
}

/// Where to find a text: exactly one of these keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Reference", extend("minProperties" = 1, "maxProperties" = 1))]
pub(super) struct RawReference {
    /// In this environment variable.
    pub(super) env: Option<Written<Variable>>,
    /// In this file, relative to the file it is written in.
    pub(super) file: Option<Written<SecretFile>>,
    /// In what this command prints: the program and its arguments.
    #[schemars(length(min = 1))]
    pub(super) command: Option<Vec<String>>,
}

/// A secret: only where to find it, never the text itself.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct RawSecret(pub(super) RawReference);

/// Marks a secret in the schema, so that the check never prints what stands there.
pub(super) const SECRET: &str = "x-secret";

impl fmt::Debug for RawSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RawSecret")
    }
}

impl JsonSchema for RawSecret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Secret")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<RawReference>();
        schema.insert(SECRET.to_owned(), json!(true));
        schema
    }
}
