//! The auth host: codes, refreshing, assertions, revocation.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Caller, header, start};
use crate::sim::{Change, Options, Simulator, World};

async fn token(simulator: &Simulator, caller: &Caller, fields: &[(&str, &str)]) -> (u16, Value) {
    let mut form = vec![("client_id", "sim-client"), ("client_secret", "sim-secret")];
    form.extend_from_slice(fields);
    let address = format!("{}/oauth2/v2.0/token", simulator.endpoints().auth);
    let response = caller.http.post(address).form(&form).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn works(caller: &Caller, answer: &Value) -> u16 {
    let token = answer["access_token"].as_str().unwrap_or_default().to_owned();
    let caller = Caller {
        token,
        http: caller.http.clone(),
        api: caller.api.clone(),
    };
    caller
        .get("/users/me/drive/files")
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn refresh_tokens_rotate_and_end() {
    for (rotate, grace) in [(false, 0), (true, 0), (true, 30)] {
        let options = Options {
            rotate_refresh_tokens: rotate,
            rotation_grace_seconds: grace,
            expires_in_as_string: rotate,
            speed: 0.0,
            ..Options::default()
        };
        let (simulator, caller) = start(World::demo(), options).await;
        let refresh = |token: String| {
            let (simulator, caller) = (&simulator, &caller);
            async move {
                self::token(
                    simulator,
                    caller,
                    &[("grant_type", "refresh_token"), ("refresh_token", &token)],
                )
                .await
            }
        };
        let first = "sim-refresh-token".to_owned();
        let (status, answer) = refresh(first.clone()).await;
        assert_eq!(status, 200);
        assert_eq!(works(&caller, &answer).await, 200);
        assert_eq!(
            answer["expires_in"],
            if rotate { json!("86400") } else { json!(86_400) }
        );
        assert_eq!(answer.get("refresh_token").is_some(), rotate);
        let again = if rotate && grace == 0 { 400 } else { 200 };
        let (status, body) = refresh(first.clone()).await;
        assert_eq!(status, again);
        if again == 400 {
            assert_eq!(body["error"], "invalid_grant");
        }
        simulator.clock().advance_seconds(60);
        assert_eq!(refresh(first).await.0, if rotate { 400 } else { 200 });
        if let Some(second) = answer["refresh_token"].as_str() {
            assert_eq!(refresh(second.to_owned()).await.0, 200);
        }
        simulator.clock().advance_seconds(86_400);
        assert_eq!(works(&caller, &answer).await, 401);
        simulator.clock().advance_seconds(90 * 86_400);
        assert_eq!(refresh("sim-refresh-token".to_owned()).await.0, 400);
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_for_ten_minutes() {
    let (simulator, caller) = start(World::demo(), Options::default()).await;
    let authorize = async |scope: &str| {
        let address = format!(
            "{}/oauth2/v2.0/authorize?client_id=sim-client&redirect_uri=http%3A%2F%2Flocalhost%3A9876%2Fcallback&scope={scope}&response_type=code&state=a%20b",
            simulator.endpoints().auth
        );
        caller.http.get(address).send().await.unwrap()
    };
    let code = async || {
        let answer = authorize("file%20user.read").await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        let location = header(&answer, "location");
        let query = location.strip_prefix("http://localhost:9876/callback?").unwrap();
        let form = crate::sim::form::Form::parse(query);
        assert_eq!(form.text("state"), "a b");
        form.text("code").to_owned()
    };
    let first = code().await;
    let fields = |code: &str| {
        [
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("code".to_owned(), code.to_owned()),
        ]
    };
    let exchange = async |code: &str| {
        let fields = fields(code);
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        token(&simulator, &caller, &fields).await
    };
    let (status, answer) = exchange(&first).await;
    assert_eq!((status, works(&caller, &answer).await), (200, 200));
    let (status, again) = exchange(&first).await;
    assert_eq!((status, &again["error"]), (401, &json!("unauthorized_client")));
    let late = code().await;
    simulator.clock().advance_seconds(601);
    assert_eq!(exchange(&late).await.0, 401);
    let refused = authorize("mail").await;
    assert_eq!(refused.json::<Value>().await.unwrap()["error"], "invalid_scope");

    let revoke = format!("{}/oauth2/v2.0/revoke", simulator.endpoints().auth);
    let form = [
        ("client_id", "sim-client"),
        ("client_secret", "sim-secret"),
        ("token", answer["access_token"].as_str().unwrap()),
    ];
    assert_eq!(
        caller
            .http
            .post(revoke)
            .form(&form)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(works(&caller, &answer).await, 401);
    let wrong = [("grant_type", "refresh_token"), ("client_secret", "wrong")];
    let address = format!("{}/oauth2/v2.0/token", simulator.endpoints().auth);
    assert_eq!(
        caller
            .http
            .post(address)
            .form(&wrong)
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
}

fn signed(key: &KeyPair, claims: &Value) -> String {
    let head = URL_SAFE_NO_PAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#);
    let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn assertions_are_verified_and_act_for_whom_they_name() {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let other = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = key.public_key().as_der().unwrap();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der.as_ref())
    );
    let options = Options {
        public_key: Some(pem),
        ..Options::default()
    };
    let (simulator, caller) = start(World::demo(), options).await;
    let now = simulator.clock().now_ms() / 1_000;
    let claims = |changes: Value| {
        let mut claims = json!({
            "iss": "sim-client", "sub": "sim.serviceaccount@example.com", "iat": now, "exp": now + 3_600,
        });
        claims
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        claims
    };
    let jimin = json!({"delegated_user": "jimin@example.com"});
    for (key, claims, status, on_drive) in [
        (&key, claims(json!({})), 200, 403),
        (&key, claims(jimin.clone()), 200, 200),
        (&other, claims(jimin.clone()), 400, 0),
        (&key, claims(json!({"exp": now + 3_700})), 400, 0),
        (&key, claims(json!({"iat": now - 100, "exp": now - 1})), 400, 0),
        (&key, claims(json!({"sub": "taro@example.com"})), 400, 0),
        (
            &key,
            claims(json!({"delegated_user": "nobody@example.com"})),
            400,
            0,
        ),
    ] {
        let assertion = signed(key, &claims);
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.as_str()),
            ("scope", "file user.read"),
        ];
        let (answered, body) = token(&simulator, &caller, &fields).await;
        assert_eq!(answered, status, "{claims} {body}");
        if status == 200 {
            assert_eq!(works(&caller, &body).await, on_drive, "{claims}");
        } else {
            assert!(body["error"].is_string());
        }
    }
    simulator
        .change(&Change::Suspend {
            member: "jimin@example.com".into(),
            on: true,
        })
        .unwrap();
    let assertion = signed(&key, &claims(jimin));
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", assertion.as_str()),
    ];
    assert_eq!(token(&simulator, &caller, &fields).await.0, 400);

    let server = signed(&key, &json!({"iss": "sim-server", "iat": now, "exp": now + 60}));
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", server.as_str()),
    ];
    let auth = &simulator.endpoints().auth;
    let answer = caller
        .http
        .post(format!("{auth}/b/kr1simulator/server/token"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.json::<Value>().await.unwrap()["access_token"].is_string());
    let wrong = caller
        .http
        .post(format!("{auth}/b/other/server/token"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 403);
}

#[tokio::test]
async fn a_classic_service_token_comes_by_a_code() {
    let (simulator, caller) = start(World::demo(), Options::default()).await;
    let auth = &simulator.endpoints().auth;
    let address = format!(
        "{auth}/ba/kr1simulator/service/authorize?client_id=sim-consumer-key&redirect_uri=https%3A%2F%2Fx.example%2Fcb&state=s&domain=example.com"
    );
    let location = header(&caller.http.get(address).send().await.unwrap(), "location");
    let form = crate::sim::form::Form::parse(location.split_once('?').unwrap().1);
    let fields = [
        ("client_id", "sim-consumer-key"),
        ("domain", "example.com"),
        ("code", form.text("code")),
    ];
    let answer = caller
        .http
        .post(format!("{auth}/ba/kr1simulator/service/token"))
        .form(&fields)
        .send()
        .await
        .unwrap();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["expire_in"], "86400");
    assert_eq!(works(&caller, &body).await, 200);
}
