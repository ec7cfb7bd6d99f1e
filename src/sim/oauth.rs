//! The auth host of both generations: logins, tokens, their renewal and their end.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, Response, header};
use serde_json::{Value, json};

use super::answer::Answer;
use super::connection::Breaker;
use super::faults::Subject;
use super::form::{Form, encode, segments};
use super::jwt;
use super::operation::{Operation, Single};
use super::people::Member;
use super::service::{Dialect, Service};
use super::tokens::{Actor, Code, Refresh};

/// Milliseconds an authorization code lives (API 2.0 docs, auth-oauth: 10 minutes).
const CODE_MS: i64 = 600_000;
/// Largest form that is read.
const FORM_BYTES: usize = 64 * 1024;

/// An error of the auth host: status, word, sentence.
type Refusal = (u16, &'static str, String);

fn refusal(status: u16, error: &'static str, text: &str) -> Refusal {
    (status, error, text.to_owned())
}

/// Answers a call of the auth host.
pub(super) async fn serve(service: Arc<Service>, breaker: Breaker, request: Request<Body>) -> Response<Body> {
    let method = request.method().clone();
    let target = request.uri().to_string();
    let path = segments(request.uri().path());
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let form = match axum::body::to_bytes(request.into_body(), FORM_BYTES).await {
        Ok(body) if !body.is_empty() => Form::parse(&String::from_utf8_lossy(&body)),
        _ => Form::parse(&query),
    };
    let single = match (&method, words.as_slice()) {
        (&Method::GET, ["oauth2", "v2.0", "authorize"]) => Single::OauthAuthorize,
        (&Method::POST, ["oauth2", "v2.0", "token"]) => Single::OauthToken,
        (&Method::POST, ["oauth2", "v2.0", "revoke"]) => Single::OauthRevoke,
        (&Method::GET, ["ba", _, "service", "authorize"]) => Single::ClassicServiceAuthorize,
        (_, ["ba", _, "service", "token"]) => Single::ClassicServiceToken,
        (&Method::POST, ["b", _, "server", "token"]) => Single::ClassicServerToken,
        _ => Single::Unknown,
    };
    let subject = || Subject {
        id: form.text("refresh_token").to_owned(),
        name: form.text("grant_type").to_owned(),
    };
    let begun = match service
        .begin(
            Operation::single(single),
            Dialect::Oauth,
            &target,
            &breaker,
            subject,
        )
        .await
    {
        Ok(begun) => begun,
        Err(answer) => return *answer,
    };
    let api_id = words.get(1).copied().unwrap_or_default();
    let done = match single {
        Single::OauthAuthorize => authorize(&service, &form),
        Single::OauthToken => token(&service, &form),
        Single::OauthRevoke => client(&service, &form).map(|()| {
            service.tokens.revoke(form.text("token"));
            Answer::empty(200)
        }),
        Single::ClassicServiceAuthorize | Single::ClassicServiceToken | Single::ClassicServerToken
            if api_id != service.options.api_id =>
        {
            Ok(service.gateway_error(403, "041", "Not allowed tenantApiId"))
        }
        Single::ClassicServiceAuthorize => classic_authorize(&service, &form),
        Single::ClassicServiceToken => classic_service_token(&service, &form),
        Single::ClassicServerToken => classic_server_token(&service, &form),
        _ => Err(refusal(404, "not_found", "There is nothing at this address")),
    };
    let answer =
        done.unwrap_or_else(|(status, error, text)| service.error(Dialect::Oauth, status, error, &text));
    service.finish(begun, answer)
}

fn client(service: &Service, form: &Form) -> Result<(), Refusal> {
    let options = &service.options;
    if form.text("client_id") == options.client_id && form.text("client_secret") == options.client_secret {
        return Ok(());
    }
    Err(refusal(
        401,
        "invalid_client",
        "client_id or client_secret is wrong",
    ))
}

/// The scope asked for, when the app has all of it.
fn granted(service: &Service, asked: &str) -> Result<Arc<str>, Refusal> {
    let has = |scope: &str| {
        service
            .options
            .scope
            .split([' ', ','])
            .any(|known| known == scope)
    };
    if asked.trim().is_empty() {
        return Ok(service.options.scope.as_str().into());
    }
    match asked
        .split([' ', ','])
        .filter(|scope| !scope.is_empty())
        .find(|scope| !has(scope))
    {
        Some(missing) => Err(refusal(
            400,
            "invalid_scope",
            &format!("The app does not have the scope {missing}"),
        )),
        None => Ok(asked.into()),
    }
}

/// The member who logs in: named by the query where a test wants another than the setting's.
fn login_member(service: &Service, form: &Form) -> Result<usize, Refusal> {
    let name = form.get("login_hint").unwrap_or(&service.options.login_member);
    let member = service.world.read(|world| {
        let member = if name.is_empty() {
            Some(0)
        } else {
            world.member(name)
        };
        member.filter(|member| world.members().get(*member).is_some_and(Member::can_act))
    });
    member.ok_or_else(|| refusal(400, "access_denied", "The member cannot log in"))
}

/// Keeps a new code and redirects with it.
fn redirect_with_code(service: &Service, form: &Form, scope: Arc<str>) -> Result<Answer, Refusal> {
    let member = login_member(service, form)?;
    let redirect_uri = form.text("redirect_uri");
    if redirect_uri.is_empty() {
        return Err(refusal(400, "invalid_request", "redirect_uri is missing"));
    }
    let code = service.tokens.make("code");
    service.tokens.codes().insert(
        code.clone(),
        Code {
            member,
            scope,
            redirect_uri: redirect_uri.to_owned(),
            expires: service.clock.now_ms() + CODE_MS,
        },
    );
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    Ok(Answer::redirect(format!(
        "{redirect_uri}{joint}code={}&state={}",
        encode(&code),
        encode(form.text("state"))
    )))
}

fn authorize(service: &Service, form: &Form) -> Result<Answer, Refusal> {
    if form.text("client_id") != service.options.client_id {
        return Err(refusal(401, "unauthorized_client", "client_id is wrong"));
    }
    if form.text("response_type") != "code" {
        return Err(refusal(
            400,
            "unsupported_response_type",
            "response_type is not code",
        ));
    }
    let scope = granted(service, form.text("scope"))?;
    redirect_with_code(service, form, scope)
}

fn token(service: &Service, form: &Form) -> Result<Answer, Refusal> {
    client(service, form)?;
    match form.text("grant_type") {
        "authorization_code" => {
            let code = take_code(service, form)?;
            if form
                .get("redirect_uri")
                .is_some_and(|given| given != code.redirect_uri)
            {
                return Err(refusal(
                    401,
                    "unauthorized_client",
                    "redirect_uri does not fit the code",
                ));
            }
            Ok(issue(service, Actor::Member(code.member), code.scope, true))
        }
        "refresh_token" => refresh(service, form.text("refresh_token")),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => by_assertion(service, form),
        _ => Err(refusal(400, "unsupported_grant_type", "grant_type is not known")),
    }
}

fn take_code(service: &Service, form: &Form) -> Result<Code, Refusal> {
    let now = service.clock.now_ms();
    let mut codes = service.tokens.codes();
    codes
        .remove(form.text("code"))
        .filter(|code| code.expires > now)
        .ok_or_else(|| refusal(401, "unauthorized_client", "code is unknown, used or expired"))
}

fn refresh(service: &Service, token: &str) -> Result<Answer, Refusal> {
    let now = service.clock.now_ms();
    let options = &service.options;
    let found = {
        let mut all = service.tokens.refreshes();
        let found = all
            .get_mut(token)
            .filter(|refresh| refresh.expires > now)
            .ok_or_else(|| refusal(400, "invalid_grant", "refresh_token is unknown, used or expired"))?;
        let copy = found.clone();
        if options.rotate_refresh_tokens {
            found.expires = found
                .expires
                .min(now + options.rotation_grace_seconds.saturating_mul(1_000));
        }
        copy
    };
    let suspended = found.actor.member().is_some_and(|member| {
        !service
            .world
            .read(|world| world.members().get(member).is_some_and(Member::can_act))
    });
    if suspended {
        return Err(refusal(400, "invalid_grant", "The member cannot log in"));
    }
    Ok(issue(
        service,
        found.actor,
        found.scope,
        options.rotate_refresh_tokens,
    ))
}

fn by_assertion(service: &Service, form: &Form) -> Result<Answer, Refusal> {
    let options = &service.options;
    let claims = jwt::read(
        form.text("assertion"),
        options.public_key.as_deref(),
        service.clock.now_ms(),
    )
    .map_err(|text| refusal(400, "invalid_grant", text))?;
    if claims.iss != options.client_id || claims.sub != options.service_account {
        return Err(refusal(400, "invalid_grant", "UserId or client_id is not valid"));
    }
    let scope = granted(service, form.text("scope"))?;
    let Some(user) = claims.delegated_user else {
        return Ok(issue(service, Actor::ServiceAccount, scope, true));
    };
    if !options.delegation {
        return Err(refusal(
            400,
            "unauthorized_client",
            "The app is not a delegated app",
        ));
    }
    let member = service.world.read(|world| {
        world
            .member(&user)
            .filter(|member| world.members().get(*member).is_some_and(Member::can_act))
    });
    let member = member.ok_or_else(|| refusal(400, "invalid_grant", "delegated_user cannot be acted for"))?;
    Ok(issue(service, Actor::Member(member), scope, false))
}

/// Makes an access token, and a refresh token where one is to be given.
fn issue(service: &Service, actor: Actor, scope: Arc<str>, with_refresh: bool) -> Answer {
    let options = &service.options;
    let now = service.clock.now_ms();
    let lifetime = options.access_token_seconds;
    let access = service.tokens.make("kr1");
    service.tokens.keep(
        access.clone(),
        actor,
        Arc::clone(&scope),
        now.saturating_add(lifetime.saturating_mul(1_000)),
    );
    let mut body = json!({
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": if options.expires_in_as_string { Value::String(lifetime.to_string()) } else { lifetime.into() },
        "scope": &*scope,
    });
    if with_refresh {
        let refresh = service.tokens.make("rt1");
        let expires = now.saturating_add(options.refresh_token_seconds.saturating_mul(1_000));
        service.tokens.keep_refresh(
            refresh.clone(),
            Refresh {
                actor,
                scope,
                expires,
            },
        );
        if let Some(object) = body.as_object_mut() {
            object.insert("refresh_token".to_owned(), refresh.into());
        }
    }
    Answer::value(200, &body).with(header::CACHE_CONTROL, "no-store".to_owned())
}

fn classic_authorize(service: &Service, form: &Form) -> Result<Answer, Refusal> {
    if form.text("client_id") != service.options.consumer_key {
        return Err(refusal(403, "042", "Not allowed consumerKey"));
    }
    redirect_with_code(service, form, service.options.scope.as_str().into())
}

fn classic_service_token(service: &Service, form: &Form) -> Result<Answer, Refusal> {
    if form.text("client_id") != service.options.consumer_key {
        return Err(refusal(403, "042", "Not allowed consumerKey"));
    }
    let code = take_code(service, form)?;
    Ok(classic_issue(service, Actor::Member(code.member)))
}

fn classic_server_token(service: &Service, form: &Form) -> Result<Answer, Refusal> {
    let options = &service.options;
    if form.text("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
        return Err(refusal(400, "unsupported_grant_type", "grant_type is not known"));
    }
    let claims = jwt::read(
        form.text("assertion"),
        options.public_key.as_deref(),
        service.clock.now_ms(),
    )
    .map_err(|text| refusal(401, "invalid_grant", text))?;
    if claims.iss != options.server_id {
        return Err(refusal(401, "invalid_grant", "iss is not the server id"));
    }
    let actor = if options.server_token_opens_drive {
        Actor::Member(login_member(service, form)?)
    } else {
        Actor::ServiceAccount
    };
    Ok(classic_issue(service, actor))
}

/// The classic answer: `expire_in`, a string in the one client seen, and a refresh token without a use.
fn classic_issue(service: &Service, actor: Actor) -> Answer {
    let options = &service.options;
    let lifetime = options.access_token_seconds;
    let access = service.tokens.make("cl1");
    let expires = service
        .clock
        .now_ms()
        .saturating_add(lifetime.saturating_mul(1_000));
    service
        .tokens
        .keep(access.clone(), actor, options.scope.as_str().into(), expires);
    let lifetime = if options.expires_in_as_string {
        Value::String(lifetime.to_string())
    } else {
        lifetime.into()
    };
    Answer::value(
        200,
        &json!({
            "access_token": access,
            "refresh_token": service.tokens.make("cr1"),
            "token_type": "Bearer",
            "expire_in": lifetime,
        }),
    )
}
