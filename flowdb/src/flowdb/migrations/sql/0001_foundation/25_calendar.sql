-- Date and time dimensions: 80 years of days and the minutes of one day.

CREATE TABLE public.d_date (
    date_dim_id INT PRIMARY KEY,
    date_actual DATE NOT NULL,
    epoch BIGINT NOT NULL,
    day_suffix VARCHAR(4) NOT NULL,
    day_name VARCHAR(9) NOT NULL,
    day_of_week INT NOT NULL,
    day_of_month INT NOT NULL,
    day_of_quarter INT NOT NULL,
    day_of_year INT NOT NULL,
    week_of_month INT NOT NULL,
    week_of_year INT NOT NULL,
    week_of_year_iso CHAR(10) NOT NULL,
    month_actual INT NOT NULL,
    month_name VARCHAR(9) NOT NULL,
    month_name_abbreviated CHAR(3) NOT NULL,
    quarter_actual INT NOT NULL,
    quarter_name VARCHAR(9) NOT NULL,
    year_actual INT NOT NULL,
    first_day_of_week DATE NOT NULL,
    last_day_of_week DATE NOT NULL,
    first_day_of_month DATE NOT NULL,
    last_day_of_month DATE NOT NULL,
    first_day_of_quarter DATE NOT NULL,
    last_day_of_quarter DATE NOT NULL,
    first_day_of_year DATE NOT NULL,
    last_day_of_year DATE NOT NULL,
    mmyyyy CHAR(6) NOT NULL,
    mmddyyyy CHAR(10) NOT NULL,
    is_std_weekend BOOLEAN NOT NULL
);

INSERT INTO public.d_date
SELECT
    to_char(day, 'YYYYMMDD')::int,
    day,
    extract(epoch FROM day),
    to_char(day, 'FMDDth'),
    to_char(day, 'Day'),
    extract(isodow FROM day),
    extract(day FROM day),
    day - quarter + 1,
    extract(doy FROM day),
    to_char(day, 'W')::int,
    extract(week FROM day),
    to_char(day, 'IYYY"-W"IW-ID'),
    extract(month FROM day),
    to_char(day, 'FMMonth'),
    to_char(day, 'Mon'),
    extract(quarter FROM day),
    (ARRAY['First', 'Second', 'Third', 'Fourth'])[extract(quarter FROM day)::int],
    extract(isoyear FROM day),
    week,
    week + 6,
    month,
    (month + interval '1 month')::date - 1,
    quarter,
    (quarter + interval '3 months')::date - 1,
    year,
    (year + interval '1 year')::date - 1,
    to_char(day, 'MMYYYY'),
    to_char(day, 'MMDDYYYY'),
    extract(isodow FROM day) IN (6, 7)
FROM generate_series(0, 29219) AS days (n)
CROSS JOIN LATERAL (SELECT DATE '1979-01-01' + n AS day) AS d
CROSS JOIN LATERAL (
    SELECT
        date_trunc('week', day::timestamp)::date AS week,
        date_trunc('month', day::timestamp)::date AS month,
        date_trunc('quarter', day::timestamp)::date AS quarter,
        date_trunc('year', day::timestamp)::date AS year
) AS starts;

CREATE INDEX d_date_date_actual_idx ON public.d_date (date_actual);

CREATE TABLE public.d_time (
    time_dim_id INT PRIMARY KEY,
    time_of_day VARCHAR(5) NOT NULL,
    hour_of_day INT NOT NULL,
    minute_of_day INT NOT NULL,
    meridean_indicator VARCHAR(2) NOT NULL,
    minute_of_hour INT NOT NULL
);

INSERT INTO public.d_time
SELECT
    minute / 60 * 100 + minute % 60,
    to_char(TIME '00:00' + minute * interval '1 minute', 'HH24:MI'),
    minute / 60,
    minute,
    CASE WHEN minute < 720 THEN 'am' ELSE 'pm' END,
    minute % 60
FROM generate_series(0, 1439) AS minutes (minute);
