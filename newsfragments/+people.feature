`imdctl user import FILE` fills the directory of doctors and patients from CSV or JSON lines; `PUT /api/v2/users` takes up to 500 entries at once.
