//! A job whose tenant is the simulator: it is started in this process, and the job is pointed at it.

use std::io;
use std::sync::Arc;

use crate::cli::exit::ExitCode;
use crate::cli::messages::CommandError;
use crate::job::{self, Api, Face, Format, SimulatedTenant, Tenant};
use crate::runner::{Host, Loaded, TenantFile};
use crate::sim::{
    CONSUMER_KEY_VARIABLE, GeneratedSpec, Options, Simulator, Sizes, TOKEN_VARIABLE, TenantSpec, World,
};

/// Starts a simulator for each tenant of the job that is one, and points the job at it.
/// They run for as long as what is returned is held.
///
/// # Errors
///
/// A port cannot be opened, or the folder to import cannot be read.
pub(super) async fn start(loaded: &mut Loaded, host: &mut Host) -> Result<Vec<Simulator>, CommandError> {
    let mut running = Vec::new();
    for file in [&mut loaded.tenant, &mut loaded.target].into_iter().flatten() {
        if file.tenant.api == Api::Simulator {
            running.push(serve(file, host, running.len()).await?);
        }
    }
    Ok(running)
}

async fn serve(file: &mut TenantFile, host: &mut Host, number: usize) -> Result<Simulator, CommandError> {
    let failed =
        |error: io::Error| CommandError::because(ExitCode::Failed, "the simulator cannot be started", &error);
    let world = match &file.tenant.simulator {
        None => World::demo(),
        Some(simulated) => world(simulated, file).map_err(failed)?,
    };
    let simulator = Simulator::start(world, Options::default())
        .await
        .map_err(failed)?;
    let text = match file.tenant.dialect() {
        Face::V2 => simulator.tenant_file_v2().0,
        Face::Classic => simulator.tenant_file_classic().0,
    };
    // Two simulated tenants have different tokens, so each has variables of its own.
    let own = |name: &str| format!("{name}_{number}");
    let text = text
        .replace(TOKEN_VARIABLE, &own(TOKEN_VARIABLE))
        .replace(CONSUMER_KEY_VARIABLE, &own(CONSUMER_KEY_VARIABLE));
    let tenant =
        job::parse_tenant(&text, Format::Toml, "the simulator's tenant file").map_err(|problems| {
            CommandError::failed(problems.iter().map(ToString::to_string).collect::<String>())
        })?;
    file.tenant = Tenant {
        requests_per_minute: Some(job::Requests::Unlimited),
        ..tenant
    };

    let outer = Arc::clone(&host.variable);
    let values = [
        (own(TOKEN_VARIABLE), simulator.token().to_owned()),
        (
            own(CONSUMER_KEY_VARIABLE),
            simulator.options().consumer_key.clone(),
        ),
    ];
    host.variable = Arc::new(move |name| {
        let own = values.iter().find(|(variable, _)| variable == name);
        own.map(|(_, value)| value.clone()).or_else(|| outer(name))
    });
    Ok(simulator)
}

fn world(simulated: &SimulatedTenant, file: &TenantFile) -> io::Result<World> {
    if let Some(folder) = &simulated.import {
        return World::import(&job::resolve_path(&file.base, folder));
    }
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(World::tenant(&TenantSpec {
        members: count(simulated.members.into()),
        shared_drives: count(simulated.shared_drives.into()),
        groups: count(simulated.groups.into()),
        tree: GeneratedSpec {
            seed: simulated.seed,
            files: count(simulated.files),
            folders: count(simulated.folders),
            sizes: Sizes::Uniform(0, simulated.size.saturating_mul(2)),
            ..GeneratedSpec::default()
        },
    }))
}
