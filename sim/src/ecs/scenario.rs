//! A scenario: what goes wrong when, from a file.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::control::Foreign;
use super::faults::Faults;
use super::flavors;
use super::prices::Prices;
use super::somebody::Hand;
use super::world::{Event, World};

/// Steps, each at its second of the simulator's run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Seconds since the simulator started, on its own clock (not divided by the speed).
    at: f64,
    /// The faults from now on, instead of those in force.
    faults: Option<Faults>,
    /// Faults over those in force: what is named is replaced, the rest stays.
    add_faults: Option<Map<String, Value>>,
    /// The clock is set ahead by so many seconds.
    clock: Option<f64>,
    prices: Option<Prices>,
    foreign: Option<Foreign>,
    stop: Option<String>,
    start: Option<String>,
    reboot: Option<String>,
    reclaim: Option<String>,
    lock: Option<String>,
    unlock: Option<String>,
    freeze: Option<String>,
    thaw: Option<String>,
}

impl Scenario {
    /// Reads a YAML or JSON file.
    ///
    /// # Errors
    /// Says in which file and step what is wrong.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|why| format!("scenario {}: {why}", path.display()))?;
        Self::parse(&text).map_err(|why| format!("scenario {}: {why}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let scenario: Self = serde_yaml::from_str(text).map_err(|why| why.to_string())?;
        for (index, step) in scenario.steps.iter().enumerate() {
            step.check()
                .map_err(|why| format!("steps[{index}]: {why}"))?;
        }
        Ok(scenario)
    }
}

/// Seconds that make sense.
pub(super) fn span(what: &str, seconds: f64) -> Result<SignedDuration, String> {
    let bounds = 0.0..=1e9;
    let good = Some(seconds).filter(|seconds| bounds.contains(seconds));
    good.and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{what}: {seconds} is not 0 to 1000000000 seconds"))
}

/// What is named is replaced, the rest stays.
fn over(faults: &Faults, more: &Map<String, Value>) -> Result<Faults, String> {
    let mut all = serde_json::to_value(faults).unwrap_or_default();
    if let Some(map) = all.as_object_mut() {
        map.extend(more.clone());
    }
    Faults::deserialize(all).map_err(|why| format!("add_faults: {why}"))
}

impl Step {
    fn check(&self) -> Result<(), String> {
        span("at", self.at)?;
        self.clock
            .map_or(Ok(SignedDuration::ZERO), |by| span("clock", by))?;
        if let Some(more) = &self.add_faults {
            over(&Faults::default(), more)?;
        }
        if let Some(prices) = &self.prices {
            prices.check()?;
        }
        match &self.foreign {
            Some(foreign) if flavors::find(&foreign.flavor).is_none() => {
                Err(format!("foreign: flavor {} does not exist", foreign.flavor))
            }
            _ if self.does_nothing() => Err("does nothing".to_owned()),
            _ => Ok(()),
        }
    }

    fn does_nothing(&self) -> bool {
        self.hands().is_empty()
            && self.faults.is_none()
            && self.add_faults.is_none()
            && self.clock.is_none()
            && self.prices.is_none()
            && self.foreign.is_none()
    }

    fn hands(&self) -> Vec<(Hand, &str)> {
        let all = [
            (Hand::Stop, &self.stop),
            (Hand::Start, &self.start),
            (Hand::Reboot, &self.reboot),
            (Hand::Reclaim, &self.reclaim),
            (Hand::Lock, &self.lock),
            (Hand::Unlock, &self.unlock),
            (Hand::Freeze, &self.freeze),
            (Hand::Thaw, &self.thaw),
        ];
        all.into_iter()
            .filter_map(|(hand, target)| Some((hand, target.as_deref()?)))
            .collect()
    }
}

impl World {
    /// Puts the steps into the queue.
    pub(super) fn follow(&mut self, scenario: &Scenario, start: Timestamp) {
        for step in &scenario.steps {
            let at = start + span("at", step.at).unwrap_or_default();
            self.later(at, Event::Step(Box::new(StepOf(step.clone()))));
        }
    }

    pub(super) fn take_step(&mut self, step: &StepOf, at: Timestamp) {
        let step = &step.0;
        tracing::info!(at = step.at, "step of the scenario");
        if let Some(faults) = &step.faults {
            self.set_faults(faults.clone());
        }
        if let Some(Ok(faults)) = step
            .add_faults
            .as_ref()
            .map(|more| over(&self.faults, more))
        {
            self.set_faults(faults);
        }
        if let Some(prices) = &step.prices {
            self.prices = prices.clone();
        }
        if let Some(Err(error)) = step.foreign.clone().map(|f| self.add_foreigner(f, at)) {
            tracing::warn!(?error, "foreign");
        }
        for (hand, target) in step.hands() {
            if let Err(error) = self.lay_hand(hand, target, at) {
                tracing::warn!(?hand, target, ?error, "nothing was done");
            }
        }
        self.ahead += span("clock", step.clock.unwrap_or_default()).unwrap_or_default();
    }
}

/// A step that waits for its moment.
#[derive(Debug)]
pub(super) struct StepOf(Step);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_scenario_says_which_step_is_wrong_and_how() {
        for (text, part) in [
            ("steps: [{at: 1}]", "steps[0]: does nothing"),
            ("steps: [{at: -1, stop: a}]", "steps[0]: at: -1"),
            (
                "steps: [{at: 1, stop: a}, {at: 2, clock: -5}]",
                "steps[1]: clock",
            ),
            ("steps: [{at: 1, stpo: a}]", "stpo"),
            ("steps: [{at: 1, faults: {sold: []}}]", "sold"),
            (
                "steps: [{at: 1, add_faults: {sold: []}}]",
                "steps[0]: add_faults: unknown field `sold`",
            ),
            (
                "steps: [{at: 1, foreign: {name: a, flavor: b}}]",
                "flavor b does not exist",
            ),
            ("{}", "steps"),
        ] {
            let error = Scenario::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(Scenario::parse("steps: []").is_ok());
    }
}
