"""`report-gen bench`: what report-gen costs, measured in pairs with other software on the same machine."""
