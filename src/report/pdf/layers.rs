//! Which layers are switched off? As viewers show a file that was just opened.

use std::collections::HashMap;

use lopdf::{Dictionary, Object, ObjectId};

use super::objects::Objects;

/// Steps of one expression, at most: real ones have a few.
const MOST_STEPS: usize = 1_000;
/// How deep the expressions of a membership may nest.
const DEPTH: usize = 16;

/// The layers of a file: is each one on?
#[derive(Debug, Default)]
pub(crate) struct Layers(HashMap<ObjectId, bool>);

impl Layers {
    /// Reads the default configuration.
    pub(crate) fn of(objects: &Objects<'_>, catalog: &Dictionary) -> Option<Self> {
        let layers = objects.dict(catalog.get(b"OCProperties").ok()?)?;
        let default = objects.dict(layers.get(b"D").ok()?)?;
        let listed = |of: &Dictionary, key: &[u8]| -> Vec<ObjectId> {
            let list = objects.array(of, key).into_iter().flatten();
            list.filter_map(|layer| layer.as_reference().ok()).collect()
        };
        let base = default.get(b"BaseState").and_then(Object::as_name).is_ok_and(|state| state == b"OFF");
        let mut on: HashMap<ObjectId, bool> = listed(layers, b"OCGs").into_iter().map(|layer| (layer, !base)).collect();
        on.extend(listed(default, b"ON").into_iter().map(|layer| (layer, true)));
        on.extend(listed(default, b"OFF").into_iter().map(|layer| (layer, false)));
        // what a layer is for decides, where the file asks viewers to go by it
        for usage in objects.array(default, b"AS").into_iter().flatten().filter_map(|usage| objects.dict(usage)) {
            if usage.get(b"Event").and_then(Object::as_name).is_ok_and(|event| event == b"View") {
                for layer in objects.array(usage, b"OCGs").into_iter().flatten() {
                    let state = objects.dict(layer).and_then(|layer| {
                        let view = objects.dict(objects.dict(layer.get(b"Usage").ok()?)?.get(b"View").ok()?)?;
                        view.get(b"ViewState").and_then(Object::as_name).ok()
                    });
                    if let (Ok(layer), Some(state)) = (layer.as_reference(), state) {
                        on.insert(layer, state != b"OFF");
                    }
                }
            }
        }
        Some(Self(on))
    }

    /// Is what belongs to this layer or membership hidden?
    pub(crate) fn is_off(&self, objects: &Objects<'_>, object: &Object) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let is_on = |object: &Object| object.as_reference().ok().and_then(|layer| self.0.get(&layer)).copied();
        if let Some(on) = is_on(object) {
            return !on;
        }
        let Some(membership) = objects.dict(object) else { return false };
        if let Ok(expression) = membership.get(b"VE") {
            return !self.holds(objects, expression, DEPTH, &mut 0);
        }
        let members: Vec<bool> = match membership.get(b"OCGs") {
            Ok(one) if is_on(one).is_some() => is_on(one).into_iter().collect(),
            Ok(list) => objects.resolve(list).as_array().into_iter().flatten().filter_map(is_on).collect(),
            Err(_) => Vec::new(),
        };
        let any = |state: bool| members.contains(&state);
        !members.is_empty()
            && match membership.get(b"P").and_then(Object::as_name) {
                Ok(b"AllOn") => any(false),
                Ok(b"AnyOff") => !any(false),
                Ok(b"AllOff") => any(true),
                _ => !any(true),
            }
    }

    fn holds(&self, objects: &Objects<'_>, expression: &Object, depth: usize, steps: &mut usize) -> bool {
        *steps += 1;
        if let Some(on) = expression.as_reference().ok().and_then(|layer| self.0.get(&layer)) {
            return *on;
        }
        let Ok([operator, operands @ ..]) = objects.resolve(expression).as_array().map(Vec::as_slice) else {
            return true;
        };
        if depth == 0 || *steps > MOST_STEPS {
            return true;
        }
        let mut values = operands.iter().map(|operand| self.holds(objects, operand, depth - 1, steps));
        match operator.as_name() {
            Ok(b"And") => values.all(|value| value),
            Ok(b"Or") => values.any(|value| value),
            Ok(b"Not") => !values.next().unwrap_or(false),
            _ => true,
        }
    }
}
