//! Which resource needs which, and in what order work on them may go.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::expression::references_in;
use super::model::Template;
use super::{Result, TemplateError};

/// The resources of a stack, each with those it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    needs: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// The graph of `template` when the conditions are as given; conditions that are not given
    /// count as both true and false.
    ///
    /// # Errors
    ///
    /// A resource that exists refers to one whose condition is false.
    pub fn new(template: &Template, conditions: &BTreeMap<String, bool>) -> Result<Self> {
        let exists = |name: &str| {
            template.resources.get(name).is_some_and(|resource| {
                let condition = resource.condition.as_deref();
                condition.and_then(|name| conditions.get(name)).copied().unwrap_or(true)
            })
        };
        let mut needs = BTreeMap::new();
        let mut unresolved = BTreeSet::new();
        for (name, resource) in template.resources.iter().filter(|(name, _)| exists(name)) {
            let mut own: BTreeSet<String> =
                resource.depends_on.iter().filter(|name| exists(name)).cloned().collect();
            let properties = Value::Object(resource.properties.clone());
            let parts = [&resource.metadata, &resource.creation_policy, &resource.update_policy];
            for part in std::iter::once(&properties).chain(parts.into_iter().flatten()) {
                let found = references_in(part, conditions)?;
                for other in found.all().filter(|name| template.resources.contains_key(*name)) {
                    if exists(other) {
                        own.insert(other.to_owned());
                    } else {
                        unresolved.insert(other.to_owned());
                    }
                }
            }
            needs.insert(name.clone(), own);
        }
        if !unresolved.is_empty() {
            let names = unresolved.into_iter().collect();
            return Err(TemplateError::Unresolved { names, block: "Resources" });
        }
        Ok(Self { needs })
    }

    /// A graph from what each resource needs; needs that are no members are left out.
    pub fn from_needs(needs: impl IntoIterator<Item = (String, BTreeSet<String>)>) -> Self {
        let mut needs: BTreeMap<String, BTreeSet<String>> = needs.into_iter().collect();
        let members: BTreeSet<String> = needs.keys().cloned().collect();
        for own in needs.values_mut() {
            own.retain(|name| members.contains(name));
        }
        Self { needs }
    }

    /// What `resource` needs.
    pub fn needs(&self, resource: &str) -> BTreeSet<String> {
        self.needs.get(resource).cloned().unwrap_or_default()
    }

    /// The same graph with every arrow turned round: the order of deletion.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let mut turned: BTreeMap<String, BTreeSet<String>> =
            self.needs.keys().map(|name| (name.clone(), BTreeSet::new())).collect();
        for (name, needs) in &self.needs {
            for needed in needs {
                turned.entry(needed.clone()).or_default().insert(name.clone());
            }
        }
        Self { needs: turned }
    }

    /// The resources in an order in which each comes after those it needs.
    ///
    /// # Errors
    ///
    /// Some wait for each other.
    pub fn order(&self) -> Result<Vec<String>> {
        self.check_acyclic()?;
        let mut schedule = Schedule::new(self);
        let mut order = Vec::new();
        loop {
            let ready = schedule.start();
            if ready.is_empty() {
                return Ok(order);
            }
            ready.iter().for_each(|name| schedule.finish(name));
            order.extend(ready);
        }
    }

    /// # Errors
    ///
    /// Some resources wait for each other.
    pub(super) fn check_acyclic(&self) -> Result<()> {
        if let Some((name, _)) = self.needs.iter().find(|(name, own)| own.contains(*name)) {
            return Err(TemplateError::Circular(vec![name.clone()]));
        }
        let stuck = self.stuck();
        if stuck.is_empty() {
            return Ok(());
        }
        // What merely waits for a cycle is not in it.
        let within = |graph: &Self| {
            Self::from_needs(
                graph
                    .needs
                    .iter()
                    .filter(|(n, _)| stuck.contains(*n))
                    .map(|(n, s)| (n.clone(), s.clone())),
            )
        };
        let cycle = within(self).reversed().stuck();
        Err(TemplateError::Circular(cycle.into_iter().collect()))
    }

    /// What is left when everything that can be done has been done.
    fn stuck(&self) -> BTreeSet<String> {
        let mut schedule = Schedule::new(self);
        loop {
            let ready = schedule.start();
            if ready.is_empty() {
                return schedule.waiting.into_keys().collect();
            }
            ready.iter().for_each(|name| schedule.finish(name));
        }
    }
}

/// Hands out the resources of a graph as those they need are finished.
#[derive(Debug, Clone)]
pub struct Schedule {
    waiting: BTreeMap<String, BTreeSet<String>>,
}

impl Schedule {
    /// A schedule in which nothing is done yet.
    pub fn new(graph: &Graph) -> Self {
        Self { waiting: graph.needs.clone() }
    }

    /// Takes those that need nothing unfinished; each is handed out once.
    pub fn start(&mut self) -> Vec<String> {
        let ready: Vec<String> = self
            .waiting
            .iter()
            .filter(|(_, needs)| needs.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        self.waiting.retain(|_, needs| !needs.is_empty());
        ready
    }

    /// Says that `resource` is done.
    pub fn finish(&mut self, resource: &str) {
        self.waiting.remove(resource);
        for needs in self.waiting.values_mut() {
            needs.remove(resource);
        }
    }

    /// Those that nobody took yet.
    pub fn waiting(&self) -> impl Iterator<Item = &str> {
        self.waiting.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse;
    use super::*;

    fn graph(needs: &[(&str, &[&str])]) -> Graph {
        let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Graph::from_needs(needs.iter().map(|(name, own)| ((*name).to_owned(), set(own))))
    }

    #[test]
    fn work_goes_in_waves() {
        let graph = graph(&[("A", &[]), ("B", &["A"]), ("C", &["A"]), ("D", &["B", "C"])]);
        let mut schedule = Schedule::new(&graph);
        assert_eq!(schedule.start(), ["A"]);
        assert!(schedule.start().is_empty());
        schedule.finish("A");
        assert_eq!(schedule.start(), ["B", "C"]);
        schedule.finish("B");
        assert!(schedule.start().is_empty());
        assert_eq!(schedule.waiting().collect::<Vec<_>>(), ["D"]);
        schedule.finish("C");
        assert_eq!(schedule.start(), ["D"]);
        assert_eq!(graph.reversed().order().unwrap(), ["D", "B", "C", "A"]);
    }

    #[test]
    fn cycles_are_named() {
        let graph = graph(&[("A", &["B"]), ("B", &["A"]), ("C", &["A"]), ("D", &[])]);
        let fault = graph.order().unwrap_err();
        assert_eq!(fault.to_string(), "Circular dependency between resources: [A, B]");
    }

    #[test]
    fn references_and_conditions_make_the_graph() {
        let template = Template::read(
            &parse(
                "Conditions: {Enabled: !Equals [a, a]}\nResources:\n  A: {Type: T}\n  \
                 B: {Type: T, Condition: Enabled, Properties: {x: !Sub '${A.Arn}'}}\n  \
                 C: {Type: T, DependsOn: B, Properties: {x: !If [Enabled, !Ref B, !Ref D]}}\n  D: {Type: T}\n",
            )
            .unwrap(),
        )
        .unwrap();
        let on = |value| BTreeMap::from([("Enabled".to_owned(), value)]);
        let needs = |graph: &Graph, name| graph.needs(name).into_iter().collect::<Vec<_>>();
        let both = Graph::new(&template, &BTreeMap::new()).unwrap();
        assert_eq!(needs(&both, "C"), ["B", "D"]);
        let with = Graph::new(&template, &on(true)).unwrap();
        assert_eq!(
            (needs(&with, "B"), needs(&with, "C")),
            (vec!["A".to_owned()], vec!["B".to_owned()])
        );
        let without = Graph::new(&template, &on(false)).unwrap();
        assert_eq!(needs(&without, "C"), ["D"]);
        assert_eq!(without.order().unwrap(), ["A", "D", "C"]);
    }

    proptest! {
        #[test]
        fn every_order_respects_every_need(
            edges in prop::collection::vec((0_u8..12, 0_u8..12), 0..40),
        ) {
            let mut needs: BTreeMap<String, BTreeSet<String>> =
                (0..12).map(|i| (format!("R{i}"), BTreeSet::new())).collect();
            // Arrows from larger to smaller numbers only: no cycles.
            for (a, b) in edges.iter().filter(|(a, b)| a > b) {
                needs.get_mut(&format!("R{a}")).unwrap().insert(format!("R{b}"));
            }
            let graph = Graph::from_needs(needs.clone());
            let order = graph.order().unwrap();
            prop_assert_eq!(order.len(), 12);
            let at = |name: &str| order.iter().position(|n| n == name).unwrap();
            for (name, own) in &needs {
                prop_assert!(own.iter().all(|needed| at(needed) < at(name)));
            }
        }
    }
}
