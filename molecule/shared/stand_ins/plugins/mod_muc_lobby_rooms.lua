-- Stand-in (test double) for Jitsi's mod_muc_lobby_rooms: not Jitsi's code.
-- Tells clients where it would be, and does nothing yet.
module:add_identity("component", "lobbyrooms", module:get_option_string("lobby_muc"));
