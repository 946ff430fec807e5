job "j" {
  meta {
    a = <<EOT
never closed
  }
}
