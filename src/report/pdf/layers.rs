//! Which layers are switched off? As viewers show a file that was just opened.

use std::collections::HashMap;

use lopdf::{Dictionary, Object, ObjectId};

use super::document::Document;

/// Steps of one expression, at most: real ones have a few.
const MOST_STEPS: usize = 1_000;
/// How deep the expressions of a membership may nest.
const DEPTH: usize = 16;

/// The layers of a file: is each one on?
#[derive(Debug, Default)]
pub struct Layers(HashMap<ObjectId, bool>);

impl Layers {
    /// Reads the default configuration.
    pub fn of(document: &Document<'_>, catalog: &Dictionary) -> Option<Self> {
        let layers = document.dict(catalog.get(b"OCProperties").ok()?)?;
        let default = document.dict(layers.get(b"D").ok()?)?;
        let listed = |of: &Dictionary, key: &[u8]| -> Vec<ObjectId> {
            let list = document.array(of, key).into_iter().flatten();
            list.filter_map(|layer| layer.as_reference().ok()).collect()
        };
        let base = default.get(b"BaseState").and_then(Object::as_name).is_ok_and(|state| state == b"OFF");
        let mut on: HashMap<ObjectId, bool> = listed(layers, b"OCGs").into_iter().map(|layer| (layer, !base)).collect();
        on.extend(listed(default, b"ON").into_iter().map(|layer| (layer, true)));
        on.extend(listed(default, b"OFF").into_iter().map(|layer| (layer, false)));
        // what a layer is for decides, where the file asks viewers to go by it
        for usage in document.array(default, b"AS").into_iter().flatten().filter_map(|usage| document.dict(usage)) {
            if usage.get(b"Event").and_then(Object::as_name).is_ok_and(|event| event == b"View") {
                for layer in document.array(usage, b"OCGs").into_iter().flatten() {
                    let state = document.dict(layer).and_then(|layer| {
                        let view = document.dict(document.dict(layer.get(b"Usage").ok()?)?.get(b"View").ok()?)?;
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
    pub fn is_off(&self, document: &Document<'_>, object: &Object) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let is_on = |object: &Object| object.as_reference().ok().and_then(|layer| self.0.get(&layer)).copied();
        if let Some(on) = is_on(object) {
            return !on;
        }
        let Some(membership) = document.dict(object) else { return false };
        if let Ok(expression) = membership.get(b"VE") {
            return !self.holds(document, expression, DEPTH, &mut 0);
        }
        let members: Vec<bool> = match membership.get(b"OCGs") {
            Ok(one) if is_on(one).is_some() => is_on(one).into_iter().collect(),
            Ok(list) => document.resolve(list).as_array().into_iter().flatten().filter_map(is_on).collect(),
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

    fn holds(&self, document: &Document<'_>, expression: &Object, depth: usize, steps: &mut usize) -> bool {
        *steps += 1;
        if let Some(on) = expression.as_reference().ok().and_then(|layer| self.0.get(&layer)) {
            return *on;
        }
        let Ok([operator, operands @ ..]) = document.resolve(expression).as_array().map(Vec::as_slice) else {
            return true;
        };
        if depth == 0 || *steps > MOST_STEPS {
            return true;
        }
        let mut values = operands.iter().map(|operand| self.holds(document, operand, depth - 1, steps));
        match operator.as_name() {
            Ok(b"And") => values.all(|value| value),
            Ok(b"Or") => values.any(|value| value),
            Ok(b"Not") => !values.next().unwrap_or(false),
            _ => true,
        }
    }
}
