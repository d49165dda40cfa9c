"""Where a store keeps artifacts and drafts: on a local disk (`local`), or behind a URL (`remote`)."""
