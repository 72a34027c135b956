//! What users see, with the real server and a puppet user agent.
