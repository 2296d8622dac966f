//! What one function carries from block to block.
//!
//! A compiler gives each block a value for everything that may have another one on another way in: the
//! locals, and what lies on the stack. A branch hands over as many values as its target takes, a call as many
//! as its function. So a byte or two can stand for thousands of values, which is what is counted.

use wasmparser::{
    BinaryReaderError, BlockType, FunctionBody, FunctionSectionReader, Operator, TypeSectionReader,
};

/// The types of a module and of its functions.
#[derive(Default)]
pub(super) struct Signatures {
    /// How many values each type takes and gives; none of what is no function.
    types: Vec<(u32, u32)>,
    /// The type of each function, the imported ones first.
    pub(super) functions: Vec<u32>,
    /// How many bodies were read.
    read: usize,
    /// How many functions are imported, once one has a body.
    imported: Option<usize>,
    /// How many functions are declared.
    declared: usize,
    /// How many values each label takes that is open.
    labels: Vec<u64>,
}

/// What was found in a function.
pub(super) struct Found {
    /// Which one it is.
    pub(super) index: usize,
    pub(super) locals: u64,
    pub(super) blocks: u64,
    pub(super) carried: u64,
}

impl Signatures {
    pub(super) fn take_types(
        &mut self,
        types: TypeSectionReader<'_>,
    ) -> Result<(), BinaryReaderError> {
        for function in types.into_iter_err_on_gc_types() {
            let function = function?;
            let count =
                |types: &[wasmparser::ValType]| u32::try_from(types.len()).unwrap_or(u32::MAX);
            self.types.push((count(function.params()), count(function.results())));
        }
        Ok(())
    }

    pub(super) fn take_functions(
        &mut self,
        functions: FunctionSectionReader<'_>,
    ) -> Result<(), BinaryReaderError> {
        self.declared += functions.count() as usize;
        for index in functions {
            self.functions.push(index?);
        }
        Ok(())
    }

    /// Reads the next body.
    pub(super) fn weigh(&mut self, body: &FunctionBody<'_>) -> Result<Found, BinaryReaderError> {
        let imported =
            *self.imported.get_or_insert(self.functions.len().saturating_sub(self.declared));
        let index = imported + self.read;
        self.read += 1;
        let (params, results) = self.of_function(index);
        let mut locals = params;
        for declared in body.get_locals_reader()? {
            locals += u64::from(declared?.0);
        }
        let mut found = Found { index, locals, blocks: 0, carried: 0 };
        self.labels.clear();
        self.labels.push(results);
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let operator = operators.read()?;
            found.carried =
                found.carried.saturating_add(self.carried(&operator, &mut found.blocks, locals));
        }
        Ok(found)
    }

    fn carried(&mut self, operator: &Operator<'_>, blocks: &mut u64, locals: u64) -> u64 {
        if let Operator::Block { blockty } | Operator::If { blockty } = operator {
            let (params, results) = self.of_block(*blockty);
            self.labels.push(results);
            *blocks += 1;
            // Most blocks are ends of branches, and give a value to a few locals.
            return 1 + params + results + locals / SELDOM;
        }
        if let Operator::Loop { blockty } = operator {
            let (params, results) = self.of_block(*blockty);
            self.labels.push(params);
            *blocks += 1;
            return 1 + params + results + locals;
        }
        if let Operator::End = operator {
            self.labels.pop();
            return 0;
        }
        if let Operator::Br { relative_depth } | Operator::BrIf { relative_depth } = operator {
            return 1 + self.label(*relative_depth);
        }
        if let Operator::BrTable { targets } = operator {
            let each = 1 + self.label(targets.default());
            return (u64::from(targets.len()) + 1).saturating_mul(each);
        }
        if let Operator::Call { function_index } = operator {
            let (params, results) = self.of_function(*function_index as usize);
            return params + results;
        }
        if let Operator::CallIndirect { type_index, .. } = operator {
            let (params, results) = self.of_type(*type_index);
            return params + results;
        }
        if let Operator::Return = operator {
            return self.labels.first().copied().unwrap_or(0);
        }
        0
    }

    fn label(&self, depth: u32) -> u64 {
        let at = self.labels.len().checked_sub(1 + depth as usize);
        at.and_then(|at| self.labels.get(at)).copied().unwrap_or(0)
    }

    fn of_block(&self, block: BlockType) -> (u64, u64) {
        match block {
            BlockType::Empty => (0, 0),
            BlockType::Type(_) => (0, 1),
            BlockType::FuncType(index) => self.of_type(index),
        }
    }

    fn of_function(&self, index: usize) -> (u64, u64) {
        self.functions.get(index).map_or((0, 0), |index| self.of_type(*index))
    }

    fn of_type(&self, index: u32) -> (u64, u64) {
        let (params, results) = self.types.get(index as usize).copied().unwrap_or_default();
        (params.into(), results.into())
    }
}

/// Of so many locals one gets a value at the end of a block.
const SELDOM: u64 = 16;
