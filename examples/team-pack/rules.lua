-- My own rules stand above the team's.
rule "notes" { when = { project = "/home/me/notes" }, to = "openrouter,qwen/qwen3-coder" }

-- And what I do not want of theirs is switched off by name; every trace says so.
override "acme/house-rules#small" { off = true }
