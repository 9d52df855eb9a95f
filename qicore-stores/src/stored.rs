//! What the source of any store asks of it.

use qicore_data::{BatchLimit, Result};

use crate::{Cursor, Reading, Selection};

/// A store of events that can be read in the order of their times.
pub trait Stored: Send + Sync {
    /// Checks that the schema is there, in a version that this program reads.
    fn check(&self) -> impl Future<Output = Result<()>> + Send;

    /// Reads rows in pages of at most so many rows and bytes, from the beginning or from behind a row.
    ///
    /// # Errors
    /// Where the cursor is not one of this selection.
    fn read(&self, selection: &Selection, after: Option<&Cursor>, page: BatchLimit) -> Result<Reading>;

    /// Closes all connections.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// A store's own methods as those of the trait.
macro_rules! stored {
    ($store:ty) => {
        impl crate::Stored for $store {
            async fn check(&self) -> qicore_data::Result<()> {
                self.check().await
            }

            fn read(
                &self,
                selection: &crate::Selection,
                after: Option<&crate::Cursor>,
                page: qicore_data::BatchLimit,
            ) -> qicore_data::Result<crate::Reading> {
                self.read(selection, after, page)
            }

            async fn close(&self) {
                self.close().await;
            }
        }
    };
}

pub(crate) use stored;
