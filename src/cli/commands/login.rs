//! `drivejob login`: a person logs in once, and jobs run on for months.

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::time::Duration;

use super::problems;
use crate::cli::context::Context;
use crate::cli::exit::ExitCode;
use crate::cli::loopback::{Loopback, Place, Request};
use crate::cli::messages::CommandError;
use crate::report::printable;
use crate::runner::{self, AnswerError, LoadError, LoggedIn, Login, LoginError};

/// Log in to a tenant in a browser, and keep the tokens for its jobs.
///
/// Prints an address. Open it in a browser and log in as the member whose drives the jobs shall read.
/// The tokens go to the tenant's token store, which only you can read; they are not shown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The tenant file, TOML or JSON.
    pub tenant: PathBuf,
    /// For a machine without a browser: open the address elsewhere, and paste here where the browser ends up.
    #[arg(long)]
    pub paste: bool,
}

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Logs in.
///
/// # Errors
///
/// The tenant file is wrong, the answer of the login page is not what it should be, or the service gives no tokens.
pub(super) fn execute(args: &Args, context: &Context) -> Result<ExitCode, CommandError> {
    let host = context.host()?;
    let logged_in = context.block_on(async {
        let login = runner::login(&args.tenant, &host).await.map_err(|error| {
            if let LoginError::Load(error) = &error {
                problems::show(context, error.problems());
            }
            told(&error)
        })?;
        tokio::select! {
            logged_in = log_in(login, args.paste, context) => logged_in.map(Some),
            stopped = context.until_signal() => stopped.map(|()| None),
        }
    })?;
    let Some(LoggedIn { store, ends }) = logged_in else {
        return Ok(ExitCode::Interrupted);
    };
    let until = ends.map_or(String::new(), |ends| {
        format!(", good until {} (UTC)", ends.strftime("%Y-%m-%d"))
    });
    let store = store.display().to_string();
    context.print(&printable(&format!(
        "logged in: the tokens are in {store}{until}"
    )))?;
    Ok(ExitCode::Complete)
}

async fn log_in(login: Login, paste: bool, context: &Context) -> Result<LoggedIn, CommandError> {
    let show = || {
        context.terminal.line(&format!(
            "open this address in a browser, and log in:\n\n  {}\n",
            login.address()
        ));
    };
    if paste {
        show();
        context.terminal.line(
            "then paste the address that the browser ends up at (its page may be empty), and press Enter:",
        );
        let text = tokio::task::spawn_blocking(read_line)
            .await
            .map_err(|_| CommandError::failed("the answer could not be read"))?
            .map_err(|error| {
                CommandError::because(ExitCode::Failed, "the answer could not be read", &error)
            })?;
        let code = login.code_pasted(&text).map_err(|error| told(&error.into()))?;
        return login.finish(&code).await.map_err(|error| told(&error));
    }
    let Some(place) = Place::of(login.redirect()) else {
        return Err(CommandError::usage(format!(
            "the login page comes back to {}, which is not on this machine",
            login.redirect()
        ))
        .hint("use --paste, or set redirect-uri under [auth] to an address such as http://localhost:9876/callback"));
    };
    let loopback = Loopback::open(place).await.map_err(|error| {
        CommandError::because(
            ExitCode::Failed,
            format!("nothing can be received at {}", login.redirect()),
            &error,
        )
        .hint("another program has that port: end it, or use --paste")
    })?;
    show();
    let answered = tokio::time::timeout(PATIENCE, answer(&login, &loopback)).await;
    let (request, code) = answered
        .map_err(|_| CommandError::failed("nobody logged in within 15 minutes").hint(AGAIN))?
        .map_err(|error| {
            CommandError::because(ExitCode::Failed, "the answer could not be received", &error)
        })?;
    let outcome = match code {
        Ok(code) => login.finish(&code).await,
        Err(error) => Err(error.into()),
    };
    let said = match &outcome {
        Ok(_) => "You are logged in. You can close this page.".to_owned(),
        Err(error) => format!("The login failed: {error}. You can close this page and look at the terminal."),
    };
    request.answer(outcome.is_ok(), &said).await;
    outcome.map_err(|error| told(&error))
}

/// Waits for the answer to this login. That to another one, such as an old page that the browser opens again, ends nothing.
async fn answer(login: &Login, loopback: &Loopback) -> io::Result<(Request, Result<String, AnswerError>)> {
    loop {
        let request = loopback.wait().await?;
        match login.code_in(&request.target) {
            Err(AnswerError::State(_)) => {
                let said =
                    "This answer belongs to another login. Open the address that the terminal shows now.";
                request.answer(false, said).await;
            }
            code => return Ok((request, code)),
        }
    }
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

const AGAIN: &str = "start `drivejob login` again, and open the new address";

/// The error for people, with the hint that fits a login.
fn told(error: &LoginError) -> CommandError {
    let exit = match error {
        LoginError::Load(_) | LoginError::Simulated | LoginError::NoStore => ExitCode::Usage,
        _ => ExitCode::Failed,
    };
    let hint = match error {
        LoginError::Load(LoadError::Problems(_)) => {
            "`drivejob check` says what is wrong, and `drivejob schema` what may be written"
        }
        LoginError::NoStore => "set token-store under [auth], so that login and jobs share one file",
        LoginError::Answer(AnswerError::Refused(why)) if why.contains("scope") => {
            "the app lacks a scope that was asked for: add `file`, `user.read`, `group.read` and `directory.read` to it \
             in the Developer Console, or set `scope` under [auth] to those that it has"
        }
        LoginError::Answer(_) => AGAIN,
        LoginError::Exchange(_) => {
            "a code is good once and for ten minutes: start `drivejob login` again; check client-id and \
             client-secret, and that redirect-uri is registered for the app, letter by letter"
        }
        _ => return CommandError::from_error(exit, error),
    };
    CommandError::from_error(exit, error).hint(hint)
}
