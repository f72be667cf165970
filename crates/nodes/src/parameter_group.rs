//! The families of parameter groups, and the names of their default groups, which are nowhere kept.

use engine::{EngineKind, Engines};

/// What the names of default groups begin with.
const DEFAULT: &str = "default.";

/// The families of a service: those of its engines.
#[derive(Debug, Clone, Copy)]
pub struct Families(pub &'static [EngineKind]);

/// The family of an engine's series: `mariadb10.11`, `postgres15`, `valkey8`.
pub fn family(kind: EngineKind, series: &str) -> String {
    let series = match kind {
        EngineKind::Valkey | EngineKind::Redis => series.split('.').next().unwrap_or_default(),
        EngineKind::MariaDb | EngineKind::MySql | EngineKind::PostgreSql => series,
    };
    format!("{}{series}", kind.name())
}

/// The default group of a family.
pub fn default_name(family: &str) -> String {
    format!("{DEFAULT}{family}")
}

/// Whether a name is that of a default group.
pub fn is_default(name: &str) -> bool {
    name.starts_with(DEFAULT)
}

impl Families {
    /// Every family, with its engine and series.
    pub fn all(self) -> impl Iterator<Item = (String, EngineKind, &'static str)> {
        let own = Engines::releases().iter().filter(move |release| self.0.contains(&release.kind));
        own.map(|release| (family(release.kind, release.series), release.kind, release.series))
    }

    /// The engine and series of a family.
    pub fn engine_of(self, family: &str) -> Option<(EngineKind, &'static str)> {
        self.all().find(|(name, ..)| name == family).map(|(_, kind, series)| (kind, series))
    }

    /// The family whose default group is called `name`.
    pub fn of_default(self, name: &str) -> Option<&str> {
        name.strip_prefix(DEFAULT).filter(|family| self.engine_of(family).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_called_as_aws_calls_them() {
        let databases = Families(&[EngineKind::MariaDb, EngineKind::PostgreSql]);
        let names: Vec<_> = databases.all().map(|(name, ..)| name).collect();
        assert_eq!(names, ["mariadb10.11", "mariadb11.8", "postgres15", "postgres17"]);
        assert_eq!(family(EngineKind::Valkey, "8.1"), "valkey8");
        assert_eq!(databases.of_default("default.postgres15"), Some("postgres15"));
        assert_eq!(databases.of_default("default.valkey8"), None);
        assert_eq!(databases.engine_of("mariadb11.8"), Some((EngineKind::MariaDb, "11.8")));
    }
}
