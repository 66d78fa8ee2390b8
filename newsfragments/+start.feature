A start does less: the API documents are made when somebody first asks for them.
