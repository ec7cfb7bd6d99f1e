//! Who may do what in a shared drive, in plain words.

/// How far a shared drive is open, the narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// To its masters, and to those who were granted something.
    Members,
    /// To every member of the domain but those who are denied.
    Domain,
    /// To every member of the tenant.
    Tenant,
}

impl Reach {
    /// The word of the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Reach::Members => "MEMBER",
            Reach::Domain => "DOMAIN",
            Reach::Tenant => "TENANT",
        }
    }
}

/// What somebody may do, the lesser first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// See and download.
    Read,
    /// Change as well.
    Write,
}

impl Right {
    /// The word of the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Read => "READ",
            Right::Write => "WRITE",
        }
    }
}

/// What can be granted something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartyKind {
    /// A member.
    User,
    /// An organisational unit.
    OrgUnit,
    /// A group.
    Group,
}

/// A member, an organisational unit or a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party {
    /// Which of them.
    pub kind: PartyKind,
    /// Its id in the tenant.
    pub id: String,
    /// Its name; in the directory, a member's is the login mail.
    pub name: String,
}

impl Party {
    /// Whether both are the same, whatever they are called.
    pub fn is(&self, other: &Party) -> bool {
        self.kind == other.kind && self.id == other.id
    }
}

/// A right that somebody was given on a drive or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The grant's own id.
    pub id: String,
    /// Who has it.
    pub party: Party,
    /// What it allows.
    pub right: Right,
}

/// The rules of a whole shared drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How far it is open.
    pub reach: Reach,
    /// What those may do for whom it is open. It says nothing where it is open to nobody.
    pub right: Right,
    /// Who rules it.
    pub masters: Vec<Party>,
    /// Who is kept out of a drive that is open to the domain.
    pub denied: Vec<Party>,
}

/// Who may do what on a shared drive, or on a folder with permissions of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The rules, where a drive was asked about.
    pub rules: Option<Rules>,
    /// The rights that were given one by one.
    pub grants: Vec<Grant>,
}

/// One change of who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharingChange {
    /// Sets the rules of a drive that are named here, in one step, and leaves the others.
    Rules {
        /// How far it is open.
        reach: Option<Reach>,
        /// What those may do for whom it is open.
        right: Option<Right>,
        /// All its masters.
        masters: Option<Vec<Party>>,
        /// All who are kept out.
        denied: Option<Vec<Party>>,
    },
    /// Gives a folder permissions of its own: from then on only the masters get in, until somebody is granted something.
    Restrict,
    /// Grants somebody a right. On a drive that is open further this closes it to all but its members.
    Grant(Party, Right),
    /// Gives a grant another right.
    Regrant(Grant, Right),
}
