job "j" {}
