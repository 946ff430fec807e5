jbo "a" {}
provider = "x"
job "b" {}
