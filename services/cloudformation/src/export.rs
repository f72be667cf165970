//! Exports of the region, and who imports them.

use cloudformation_api::{
    Export as Shown, ListExportsInput, ListExportsOutput, ListImportsInput, ListImportsOutput,
};
use kernel::Ctx;
use kernel::paging::page;

use crate::error::{Error, Result};
use crate::store::{EXPORTS, IMPORTS};

/// How many exports or imports an answer has.
const PAGE: usize = 100;

/// Lists the region's exports.
///
/// AWS: ListExports.
///
/// # Errors
///
/// [`Error::Validation`] when the token is not one of ours.
pub(crate) async fn list_exports(ctx: Ctx, input: ListExportsInput) -> Result<ListExportsOutput> {
    let exports = ctx.store.read(|tx| Ok::<_, Error>(tx.scan(&EXPORTS, ())?)).await?;
    let page = page(exports, input.next_token.as_deref(), PAGE, |export| export.name.clone())
        .map_err(|fault| Error::validation(fault.to_string()))?;
    let shown = page.items.into_iter().map(|export| Shown {
        exporting_stack_id: Some(export.stack),
        name: Some(export.name),
        value: Some(export.value),
    });
    Ok(ListExportsOutput { exports: shown.collect(), next_token: page.next })
}

/// Lists the stacks that import a value.
///
/// AWS: ListImports.
///
/// # Errors
///
/// [`Error::Validation`] when nobody does.
pub(crate) async fn list_imports(ctx: Ctx, input: ListImportsInput) -> Result<ListImportsOutput> {
    let name = input.export_name;
    let imports = ctx.store.read(|tx| Ok::<_, Error>(tx.scan(&IMPORTS, (name.clone(),))?)).await?;
    if imports.is_empty() {
        return Err(Error::validation(format!("Export '{name}' is not imported by any stack.")));
    }
    let page = page(imports, input.next_token.as_deref(), PAGE, |import| import.stack.clone())
        .map_err(|fault| Error::validation(fault.to_string()))?;
    let names = page.items.into_iter().map(|import| import.stack_name);
    Ok(ListImportsOutput { imports: names.collect(), next_token: page.next })
}
