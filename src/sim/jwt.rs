//! Reads the signed assertions of both generations.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

/// Longest time between `iat` and `exp` in seconds (API 2.0 docs, auth-jwt: 60 minutes).
const LONGEST: i64 = 3_600;

/// The claims that matter.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    #[serde(default)]
    pub(super) sub: String,
    pub(super) iat: i64,
    pub(super) exp: i64,
    #[serde(default)]
    pub(super) delegated_user: Option<String>,
}

/// Reads an assertion at the time `now` (milliseconds since 1970) and verifies its signature where a key is given.
///
/// # Errors
/// One sentence that says what is wrong with it.
pub(super) fn read(assertion: &str, public_key: Option<&str>, now: i64) -> Result<Claims, &'static str> {
    let (signed, signature) = assertion.rsplit_once('.').ok_or("assertion is not a JWT")?;
    let (head, claims) = signed.split_once('.').ok_or("assertion is not a JWT")?;
    let part = |text: &str| {
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| "assertion is not Base64")
    };
    let head: serde_json::Value =
        serde_json::from_slice(&part(head)?).map_err(|_| "JWT header is not JSON")?;
    if head.get("alg").and_then(serde_json::Value::as_str) != Some("RS256") {
        return Err("JWT alg is not RS256");
    }
    let claims: Claims = serde_json::from_slice(&part(claims)?).map_err(|_| "JWT claims are incomplete")?;
    let signature = part(signature)?;
    if let Some(key) = public_key {
        let key = pem(key).ok_or("public key of the simulator is not PEM")?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| "JWT signature is wrong")?;
    } else if signature.is_empty() {
        return Err("JWT signature is missing");
    }
    let seconds = now.div_euclid(1_000);
    if claims.exp <= seconds {
        return Err("JWT is expired");
    }
    if claims.exp.saturating_sub(claims.iat) > LONGEST {
        return Err("JWT lives longer than 60 minutes");
    }
    Ok(claims)
}

/// The bytes between the first two lines of dashes.
fn pem(text: &str) -> Option<Vec<u8>> {
    let body: String = text
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END"))
        .collect();
    STANDARD.decode(body).ok().filter(|bytes| !bytes.is_empty())
}
