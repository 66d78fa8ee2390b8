`imdctl reconcile` compares imd's consults with the platform's and repairs either side; `imdctl stats consults` counts them by team, doctor, leader, organisation or type.
