job "übung" {
  meta {
    größe   = "groß"
    emoji   = "🙂 \U0001F642 \u00e9"
    escapes = "a\n\r\t\"\\b"
  }
}
