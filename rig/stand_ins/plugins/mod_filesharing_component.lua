-- Stand-in (test double) for Jitsi's mod_filesharing_component: not Jitsi's code.
-- Is there and says so, and does nothing yet.
local util = module:require "util";

util.advertise("file-sharing");
