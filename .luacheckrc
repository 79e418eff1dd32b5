-- Prosody 0.12 and 13 run on Lua 5.2 to 5.4: no more than what 5.1 to 5.3 have in common.
std = "min"

-- Callbacks name the arguments they are given, used or not.
ignore = { "212" }

-- core/modulemanager.lua gives each module an API object, on which the module sets its hooks.
globals = { "module" }
read_globals = { "prosody" }

-- Prosody's configuration is Lua with an environment of its own.
exclude_files = { "**/*.cfg.lua" }
