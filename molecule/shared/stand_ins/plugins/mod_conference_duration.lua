-- Stand-in (test double) for Jitsi's mod_conference_duration: not Jitsi's code.
-- Tells clients where it would be, and does nothing yet.
local component = module:get_option_string("conference_duration_component", "conferenceduration." .. module.host);

module:add_identity("component", "conference_duration", component);
