//! What a run will cost before it is run: calls by API operation, bytes, and the time that they take at least.
//!
//! Pure: counts come from the rows of a manifest or from a sample of listings, time from the tenant's rate.

mod count;
mod delivery;
mod depth;
mod forecast;
mod pace;

pub use count::{Contents, Counter, Sampled};
pub use delivery::{Arrivals, Delivery, DeliveryDrive, Side};
pub use depth::{Depth, Price};
pub use forecast::{Basis, Forecast, Opens, Window};
pub use pace::{Load, Rate};

/// Items of one page of a listing (API 2.0 docs, EN/group-folder-file-root-list; the classic API is asked for as many).
pub const PAGE: u64 = 200;

/// Entries of one page of a directory list (API 2.0 docs, EN/user-list).
pub const DIRECTORY_PAGE: u64 = 100;
