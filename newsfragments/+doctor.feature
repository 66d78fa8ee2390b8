`imdctl doctor-check` looks at everything imd needs and says what is to be done.
