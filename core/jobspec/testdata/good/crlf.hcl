job "j" {
  meta {
    a = "b"
    h = <<EOT
one
  two
EOT
  }
}
