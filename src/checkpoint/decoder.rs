//! From a checkpoint to the decoder that runs it.

use super::{Checkpoint, Error};
use crate::{
    dtransformer::{Decoder, Parameter, ParameterSource},
    tensor::StoredTensor,
};
use ndarray::Array1;

impl Checkpoint {
    /// The decoder of these weights. Matrices stay as stored, and share the checkpoint's bytes; norms are widened to f32.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny7b");
    /// use baichuan2::checkpoint::Checkpoint;
    /// let decoder = Checkpoint::open(folder)?.decoder()?;
    /// let logits = decoder.forward(&[126, 301, 282], &mut decoder.new_cache(), None)?;
    /// assert_eq!(logits.dim(), (3, 320));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`Error`]; a checkpoint that was opened has all of its parameters, so none is expected.
    pub fn decoder(&self) -> Result<Decoder, Error> {
        Decoder::new(self.config.clone(), &mut &*self)
    }
}

impl ParameterSource<f32> for &Checkpoint {
    type Matrix = StoredTensor;
    type Error = Error;

    fn matrix(&mut self, parameter: &Parameter) -> Result<StoredTensor, Error> {
        self.tensor(&parameter.name)
    }

    fn vector(&mut self, parameter: &Parameter) -> Result<Array1<f32>, Error> {
        let tensor = self.tensor(&parameter.name)?;
        Ok(tensor
            .to_vector(&parameter.name)
            .map_err(crate::dtransformer::Error::from)?)
    }
}
