//! The service simulator.
