//! Signed assertions (JWT with RS256), made by hand: two small JSON texts and a signature.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::secret::Secret;

/// A private key that signs assertions.
pub(super) struct Signer(KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Signer(hidden)")
    }
}

/// How long an assertion is good, in seconds: half of what is allowed at most (60 minutes, API 2.0 docs, EN/auth-jwt),
/// so that clocks may differ.
const LIFETIME: i64 = 30 * 60;

/// How far back an assertion is dated, in seconds: our clock may be ahead, and some services take nothing from the future.
const LEEWAY: i64 = 30;

impl Signer {
    /// Reads an RSA key in PEM, as PKCS#1 or PKCS#8. Line ends may be written as `\n`, as in environment variables.
    pub(super) fn new(pem: &Secret) -> Result<Signer, String> {
        let pem = pem.reveal().replace("\\n", "\n");
        let mut lines = pem
            .lines()
            .map(str::trim)
            .skip_while(|line| !line.starts_with("-----BEGIN "));
        let kind = lines.next().ok_or("it is not in PEM form")?;
        let body: String = lines.take_while(|line| !line.starts_with("-----END ")).collect();
        let der = STANDARD.decode(body).map_err(|_| "its text is not base64")?;
        let key = match kind {
            "-----BEGIN PRIVATE KEY-----" => KeyPair::from_pkcs8(&der),
            "-----BEGIN RSA PRIVATE KEY-----" => KeyPair::from_der(&der),
            "-----BEGIN ENCRYPTED PRIVATE KEY-----" => return Err("it is encrypted".to_owned()),
            _ => return Err("it is no RSA private key".to_owned()),
        };
        key.map(Signer)
            .map_err(|error| format!("it is no RSA private key: {error}"))
    }

    /// An assertion of the claims, issued at `now`.
    pub(super) fn sign(&self, mut claims: Map<String, Value>, now: Timestamp) -> Result<String, String> {
        claims.insert("iat".to_owned(), json!(now.as_second() - LEEWAY));
        claims.insert("exp".to_owned(), json!(now.as_second() + LIFETIME));
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        let claims = URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string());
        let text = format!("{head}.{claims}");
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .map_err(|_| "the assertion could not be signed".to_owned())?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in crate::api) mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    /// A fresh key as PKCS#8 PEM, with its public half.
    pub(in crate::api) fn key() -> (String, Vec<u8>) {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        (pem, pair.public_key().as_ref().to_vec())
    }

    /// The PKCS#1 key within a PKCS#8 one: version, algorithm, then an octet string up to the end.
    fn pkcs1(pkcs8: &str) -> String {
        let body: String = pkcs8.lines().filter(|line| !line.contains("--")).collect();
        let der = STANDARD.decode(body).unwrap();
        let begin = der
            .windows(4)
            .enumerate()
            .filter(|(_, bytes)| *bytes == [0x30, 0x82, 0x04, bytes[3]])
            .map(|(place, _)| place)
            .nth(1)
            .unwrap();
        format!(
            "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
            STANDARD.encode(&der[begin..])
        )
    }

    #[test]
    fn assertions_are_signed_by_keys_of_both_forms() {
        let (pem, public) = key();
        let forms = [pem.clone(), pem.replace('\n', "\\n"), pkcs1(&pem)];
        for pem in forms {
            let signer = Signer::new(&Secret::new(&pem)).unwrap();
            let claims = json!({"iss": "client", "sub": "account"});
            let now = Timestamp::from_second(1_000).unwrap();
            let jwt = signer.sign(claims.as_object().unwrap().clone(), now).unwrap();
            let parts: Vec<&str> = jwt.split('.').collect();
            let read = |part: &str| -> Value {
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
            };
            assert_eq!(read(parts[0]), json!({"alg": "RS256", "typ": "JWT"}));
            assert_eq!(
                read(parts[1]),
                json!({"iss": "client", "sub": "account", "iat": 970, "exp": 2_800})
            );
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public)
                .verify(
                    format!("{}.{}", parts[0], parts[1]).as_bytes(),
                    &URL_SAFE_NO_PAD.decode(parts[2]).unwrap(),
                )
                .unwrap();
        }
    }

    #[test]
    fn a_text_that_is_no_key_is_told_from_one_without_showing_it() {
        for pem in [
            "",
            "hunter2",
            "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
        ] {
            let error = Signer::new(&Secret::new(pem)).unwrap_err();
            assert!(!error.contains("hunter2") && !error.contains("AAAA"));
        }
    }
}
