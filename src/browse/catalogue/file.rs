//! The catalogue's file: a head that says which nights it covers, then every item in the order of the manifests.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::blocks::{BlockReader, BlockWriter, Error};
use super::item::{Before, Item, decode, encode};
use crate::archive::{Archive, Snapshot};

/// The layout of the file. One of another layout is made anew.
const LAYOUT: u32 = 1;

/// Bytes after which a block is closed.
const BLOCK: usize = 256 * 1024;

/// Bytes handed to the system at a time.
const BUFFER: usize = 256 * 1024;

/// What the file is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    layout: u32,
    tenant: String,
    created: String,
    /// The nights whose items it has, oldest first.
    pub(super) nights: Vec<Night>,
    /// Nights whose manifest is not whole or not in order, so that nobody can merge it: they are searched themselves.
    pub(super) apart: Vec<Night>,
}

/// A snapshot, and the manifest that its tail told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Night {
    pub(super) id: String,
    pub(super) manifest_sha256: String,
}

impl Night {
    /// `None` for a snapshot without a tail, whose manifest nobody vouches for.
    pub(super) fn of(snapshot: &Snapshot) -> Option<Night> {
        Some(Night {
            id: snapshot.id.to_string(),
            manifest_sha256: snapshot.tail.as_ref()?.manifest_sha256.clone(),
        })
    }
}

impl About {
    /// Of an archive, and no night yet.
    pub(super) fn new(archive: &Archive) -> About {
        About {
            layout: LAYOUT,
            tenant: archive.tenant().to_owned(),
            created: archive.created().to_string(),
            nights: Vec::new(),
            apart: Vec::new(),
        }
    }

    fn is_of(&self, archive: &Archive) -> bool {
        let own = About::new(archive);
        (self.layout, &self.tenant, &self.created) == (own.layout, &own.tenant, &own.created)
    }
}

/// A catalogue that is read from its beginning.
#[derive(Debug)]
pub(super) struct CatalogueReader {
    pub(super) about: About,
    blocks: BlockReader<BufReader<File>>,
    block: Vec<u8>,
    place: usize,
    before: Before,
    ended: bool,
}

impl CatalogueReader {
    /// Opens the archive's catalogue; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] also when it is another archive's or of another layout.
    pub(super) fn open(path: &Path, archive: &Archive) -> Result<Option<CatalogueReader>, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut blocks = BlockReader::new(BufReader::with_capacity(BUFFER, file));
        let mut block = Vec::new();
        blocks.read(&mut block)?;
        let about: About = serde_json::from_slice(&block).map_err(|_| Error::Damaged)?;
        if !about.is_of(archive) {
            return Err(Error::Damaged);
        }
        block.clear();
        Ok(Some(CatalogueReader {
            about,
            blocks,
            block,
            place: 0,
            before: Before::default(),
            ended: false,
        }))
    }

    /// The next item; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Item>, Error> {
        if self.place == self.block.len() && !self.ended {
            self.blocks.read(&mut self.block)?;
            self.place = 0;
            self.before = Before::default();
            self.ended = self.block.is_empty();
        }
        if self.ended {
            return Ok(None);
        }
        let mut rest = self.block.get(self.place..).unwrap_or_default();
        let item = decode(&mut rest, &mut self.before)?;
        self.place = self.block.len() - rest.len();
        let nights = u32::try_from(self.about.nights.len()).unwrap_or(u32::MAX);
        if item.spans.last().is_some_and(|span| span.last >= nights) {
            return Err(Error::Damaged);
        }
        Ok(Some(item))
    }
}

/// A catalogue that is being written.
#[derive(Debug)]
pub(super) struct CatalogueWriter<W: Write> {
    blocks: BlockWriter<BufWriter<W>>,
    block: Vec<u8>,
    before: Before,
}

impl<W: Write> CatalogueWriter<W> {
    pub(super) fn new(target: W, about: &About) -> io::Result<CatalogueWriter<W>> {
        let mut blocks = BlockWriter::new(BufWriter::with_capacity(BUFFER, target));
        blocks.write(&serde_json::to_vec(about)?)?;
        Ok(CatalogueWriter {
            blocks,
            block: Vec::with_capacity(BLOCK),
            before: Before::default(),
        })
    }

    /// Adds an item. They come in order.
    pub(super) fn write(&mut self, item: &Item) -> io::Result<()> {
        encode(item, &mut self.before, &mut self.block);
        if self.block.len() < BLOCK {
            return Ok(());
        }
        self.close()
    }

    fn close(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.blocks.write(&self.block)?;
            self.block.clear();
            self.before = Before::default();
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.close()?;
        self.blocks.finish().map(|_| ())
    }
}
