-- Stand-in (test double) for Jitsi's mod_muc_breakout_rooms: not Jitsi's code.
-- Tells clients where it would be, and does nothing yet.
local component = module:get_option_string("breakout_rooms_muc", "breakout." .. module.host);

module:add_identity("component", "breakout_rooms", component);
