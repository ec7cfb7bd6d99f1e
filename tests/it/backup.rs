//! A backup holds what the drive held: over both API generations, over nights, over hostile trees.

use drivejob::report::Status;
use drivejob::sim::{GeneratedSpec, Names, Options, Simulator, Sizes, World};

use crate::support::{Bench, Face};

fn worlds() -> Vec<(&'static str, fn() -> World)> {
    vec![
        ("demo", World::demo),
        ("hostile", || {
            World::generated(&GeneratedSpec {
                files: 300,
                folders: 60,
                names: Names::Hostile,
                sizes: Sizes::Uniform(0, 3000),
                ..GeneratedSpec::default()
            })
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn both_generations_back_a_drive_up_as_it_is() {
    for (name, world) in worlds() {
        for face in Face::BOTH {
            let simulator = Simulator::start(world(), Options::default()).await.unwrap();
            let bench = Bench::new(&simulator, face);
            let report = bench.run().await.unwrap();
            assert_eq!(report.status, Status::Complete, "{name} {face:?} {report:?}");
            bench.shelf().assert_holds(&simulator.world(), 0);
        }
    }
}
