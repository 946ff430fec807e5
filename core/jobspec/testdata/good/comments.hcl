# one
// two
/* three
   four */
job "j" { # five
  // six
  priority = 3 /* seven */
}
