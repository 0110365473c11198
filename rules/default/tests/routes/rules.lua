-- With a default route nothing is left to it: tiers/ tests it.
override "default#serving" { off = true }
